"""Ports on this machine's own address."""

from __future__ import annotations

import socket

from backfill.errors import ConfigurationError

HOST = "127.0.0.1"
TRIED = 100


def choose_port(wanted: int | None, default: int, variable: str) -> int:
    """``wanted`` if it is free, else an error that names ``variable``; without a wish the next free one."""
    if wanted is not None:
        if not is_free(wanted):
            raise ConfigurationError(f"{variable}={wanted}: something else listens on {HOST}:{wanted}")
        return wanted
    for port in range(default, default + TRIED):
        if is_free(port):
            return port
    raise ConfigurationError(f"no free port from {default} on: set {variable}")


def is_free(port: int) -> bool:
    """Whether a server could listen there; connections of an earlier one that still fade away do no harm."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True

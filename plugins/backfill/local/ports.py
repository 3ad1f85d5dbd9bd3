"""Ports on this machine's own address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from backfill.errors import ConfigurationError

HOST = "127.0.0.1"
TRIED = 100


@contextmanager
def reserved_port(wanted: int | None, default: int, variable: str) -> Iterator[int]:
    """``wanted`` if it is free, else an error that names ``variable``; without a wish the next free one.

    Airflow listens seconds after we have chosen. Until the end of the block no other stack chooses the port: the
    reservation is a socket with an abstract name, which ends with its process and is seen wherever the port is.
    """
    for port in range(default, default + TRIED) if wanted is None else [wanted]:
        with socket.socket(socket.AF_UNIX) as reservation:
            if _can_bind(reservation, f"\0candle-keeper-port-{port}") and is_free(port):
                yield port
                return
    if wanted is None:
        raise ConfigurationError(f"no free port from {default} on: set {variable}")
    raise ConfigurationError(f"{variable}={wanted}: something else has the port {wanted} of {HOST}")


def is_free(port: int) -> bool:
    """Whether a server could listen there; connections of an earlier one that still fade away do no harm."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _can_bind(probe, (HOST, port))


def _can_bind(probe: socket.socket, address: str | tuple[str, int]) -> bool:
    try:
        probe.bind(address)
    except OSError:
        return False
    return True

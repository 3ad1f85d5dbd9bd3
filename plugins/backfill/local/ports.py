"""Ports of the loopback address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from backfill.errors import ConfigurationError

HOST = "127.0.0.1"
TRIED = 100


@contextmanager
def reserved_port(wanted: int | None, default: int, variable: str) -> Iterator[int]:
    """Yield ``wanted`` if free, else raise an error naming ``variable``; None: the next free port.

    Airflow listens seconds later, so a socket with an abstract name reserves the port until the block, or the process,
    ends.
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
    """Whether a server could listen there; closing connections do not matter."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _can_bind(probe, (HOST, port))


def _can_bind(probe: socket.socket, address: str | tuple[str, int]) -> bool:
    try:
        probe.bind(address)
    except OSError:
        return False
    return True

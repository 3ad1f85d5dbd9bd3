"""What the parallel workers of one test session share: a Postgres server, and databases that one makes for all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from backfill.local.embedded_postgres import EmbeddedPostgres

# Part of every name that two workers must not share.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
MEMORY = Path("/dev/shm")  # noqa: S108
MEMORY_NEEDED = 2 * 1024**3


def server_parents() -> list[Path]:
    """Where a session's server may lie. In memory a database is copied in 12 ms, on a busy disk in 250."""
    in_memory = [MEMORY] if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else []
    return [*in_memory, Path(tempfile.gettempdir())]


def new_server_home(prefix: str) -> Path:
    """A folder name for this session's server, in the first place that has room."""
    for parent in server_parents():
        if shutil.disk_usage(parent).free >= MEMORY_NEEDED:
            break
    return parent / f"{prefix}{os.getpid()}"


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Within: no other worker is in a block with this lock."""
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def made_once(server: EmbeddedPostgres, name: str, make: Callable[[], None]) -> bool:
    """Let the first worker to come make the database ``name`` for all; whether that was this one.

    The others copy it, so no one may stay connected to it.
    """
    done = server.home / f"{name}.made"
    with one_at_a_time(server.home / f"{name}.lock"):
        if done.exists():
            return False
        make()
        done.touch()
        return True


def copy_database(server: EmbeddedPostgres, template: str, name: str) -> None:
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        # Copying files takes less than half as long as the default, by way of the log.
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")


def drop_database(server: EmbeddedPostgres, name: str) -> None:
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

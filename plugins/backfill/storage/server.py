"""The Postgres server: whether it answers, version, clock, databases."""

from __future__ import annotations

from typing import NamedTuple

import psycopg
from psycopg import sql

from backfill.storage.database import connect, fetch_one, translated_errors
from backfill.storage.named_queries import query

ANSWERS_WITHIN_S = 5


class ServerFacts(NamedTuple):
    """Major version, and clock in epoch seconds."""

    major: int
    epoch_s: float


def server_facts(uri: str) -> ServerFacts:
    """The server's version and clock. Raises :class:`DatabaseError`."""
    with connect(uri) as connection, translated_errors(uri):
        major, epoch_s = fetch_one(connection, query("sources/select_server_facts"))
    return ServerFacts(int(major), float(epoch_s))


def accepts_connections(uri: str, within_s: int = ANSWERS_WITHIN_S) -> bool:
    """Whether the server accepts us within ``within_s``."""
    try:
        psycopg.connect(uri, connect_timeout=within_s).close()
    except psycopg.OperationalError:
        return False
    return True


def ensure_database(uri: str, name: str) -> None:
    """Create the database unless it exists. Raises :class:`DatabaseError`."""
    with connect(uri) as connection, translated_errors(uri):
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def has_table(uri: str, name: str) -> bool:
    """Whether the table (with its schema) exists. Raises :class:`DatabaseError`."""
    with connect(uri) as connection, translated_errors(uri):
        return fetch_one(connection, "SELECT to_regclass(%s) IS NOT NULL", [name])[0] is True

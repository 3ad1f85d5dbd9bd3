"""Whether a role and its sessions suffice: rights, connections, time limits."""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg.rows import dict_row

from backfill.storage.database import Connection, translated_errors
from backfill.storage.named_queries import query

READER, WRITER, OWNER = "reader", "writer", "owner"


class SessionFacts(NamedTuple):
    """What bounds our sessions. ``pooled``: a pooler stands between."""

    pooled: bool
    connections_left: int | None
    timeouts: dict[str, str]
    is_read_only: bool
    is_standby: bool


def missing_rights(connection: Connection) -> dict[str, list[str]]:
    """The GRANTs that the role lacks as reader, writer and owner."""
    with translated_errors():
        rows = connection.execute(query("doctor/select_rights")).fetchall()
    lacks: dict[str, list[str]] = {READER: [], WRITER: [], OWNER: []}
    for kind, what in rows:
        lacks[kind].append(what)
    return lacks


def session_facts(connection: Connection) -> SessionFacts:
    """The bounds of this role's sessions now."""
    with translated_errors(), connection.cursor(row_factory=dict_row) as cursor:
        found: dict[str, Any] = cursor.execute(query("doctor/select_limits")).fetchone() or {}
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    return SessionFacts(
        pooled=connection.pooled,
        connections_left=found["connections_left"],
        timeouts={name: found[name] for name in names if found[name] != "0"},
        is_read_only=found["transaction_read_only"] == "on",
        is_standby=found["is_standby"],
    )

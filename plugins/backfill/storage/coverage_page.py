"""Read-only queries of the coverage page."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from backfill.storage.database import Connection, translated_errors
from backfill.storage.named_queries import query

STATEMENT_TIMEOUT_MS = 10_000

Row = dict[str, Any]


def coverage(connection: Connection, max_rows: int) -> list[Row]:
    """At most ``max_rows`` series with coverage, urgent ones first."""
    return _read(connection, "series/select_coverage", max_rows)


def recent_runs(connection: Connection, max_rows: int) -> list[Row]:
    """The newest ``max_rows`` of the run log, newest first."""
    return _read(connection, "runs/select_recent_runs", max_rows)


def _read(connection: Connection, name: str, max_rows: int) -> list[Row]:
    with translated_errors(), connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(STATEMENT_TIMEOUT_MS),))
        return cursor.execute(query(name), {"max_rows": max_rows}).fetchall()

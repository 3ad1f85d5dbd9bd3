"""Rows that broke a rule, as their sources sent them, and what persons have decided on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from backfill.storage.database import Connection, translated_errors
from backfill.storage.named_queries import query

EVERYTHING = 1_000_000
PENDING = "pending"


class QuarantineDecision(NamedTuple):
    """A row that is decided on, and the note that stays with it."""

    quarantine_id: int
    note: str | None


class Quarantine:
    """Over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(
        self,
        *,
        status: str | None = PENDING,
        symbols: Sequence[str] | None = None,
        ids: Sequence[int] | None = None,
        max_rows: int = EVERYTHING,
    ) -> list[dict[str, Any]]:
        """Rows in quarantine, newest first; a None matches all."""
        params = {
            "status": status,
            "symbols": None if symbols is None else list(symbols),
            "ids": None if ids is None else list(ids),
            "max_rows": max_rows,
        }
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query("by_hand/select_quarantine"), params).fetchall()

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """A transaction for decisions: all or none."""
        with translated_errors(), self._connection.transaction():
            yield

    def decide(self, status: str, decisions: Sequence[QuarantineDecision]) -> int:
        """Decide on pending rows, inside a transaction; how many were still pending."""
        params = {
            "status": status,
            "ids": [one.quarantine_id for one in decisions],
            "notes": [one.note for one in decisions],
        }
        return self._connection.execute(query("by_hand/decide_quarantined"), params).rowcount

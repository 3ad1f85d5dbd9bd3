"""Rows that broke a rule, and the decisions on them."""

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
    quarantine_id: int
    note: str | None


class Quarantine:
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
        """Rows in quarantine, newest first; None matches all."""
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
        """Decide on pending rows, in a transaction; return how many were pending."""
        params = {
            "status": status,
            "ids": [one.quarantine_id for one in decisions],
            "notes": [one.note for one in decisions],
        }
        return self._connection.execute(query("by_hand/decide_quarantined"), params).rowcount

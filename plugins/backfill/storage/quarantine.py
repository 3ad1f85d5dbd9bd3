"""Rows that broke a rule, and the decisions on them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from backfill.domain.timeframes import utc
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.named_queries import query

if TYPE_CHECKING:
    from backfill.storage.candle_store import QuarantinedRow

EVERYTHING = 1_000_000
PENDING = "pending"


class QuarantineDecision(NamedTuple):
    quarantine_id: int
    note: str | None


class GivenBefore(NamedTuple):
    """Rows of an answer: how many came in ``another_run``, open times of those that a person has ``discarded``."""

    another_run: int
    discarded_ms: list[int]


class Quarantine:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self, series_id: int, source_id: int, quarantined: Sequence[QuarantinedRow], fill_run_id: int | None
    ) -> None:
        """Keep the rows of a page, inside its transaction; once if they come again."""
        if not quarantined:
            return
        params = _params(series_id, source_id, quarantined, fill_run_id)
        self._connection.execute(query("candles/insert_quarantined"), params)

    def given_before(
        self, series_id: int, source_id: int, quarantined: Sequence[QuarantinedRow], fill_run_id: int | None
    ) -> GivenBefore:
        """What is known of these different rows."""
        params = _params(series_id, source_id, quarantined, fill_run_id)
        with translated_errors():
            return GivenBefore(*fetch_one(self._connection, query("candles/select_given_before"), params))

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


def _params(
    series_id: int, source_id: int, quarantined: Sequence[QuarantinedRow], fill_run_id: int | None
) -> dict[str, Any]:
    rows = [
        {
            "open_time": None if row.open_ms is None else utc(row.open_ms).isoformat(),
            "rule": row.rule,
            "payload": _storable(row.payload),
        }
        for row in quarantined
    ]
    return {"series_id": series_id, "source_id": source_id, "rows": Jsonb(rows), "fill_run_id": fill_run_id}


def _storable(payload: Any) -> Any:
    """``payload``, or its ``ascii()`` if it has NaN, NUL or half a surrogate pair, as jsonb cannot."""
    try:
        text = json.dumps(payload, allow_nan=False, ensure_ascii=False)
        text.encode()
    except ValueError:
        return ascii(payload)
    return ascii(payload) if r"\u0000" in text else payload

"""Results of checks in ``findings``, one row per problem."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.database import Connection, translated_errors
from backfill.storage.named_queries import query

EVERYTHING = 1_000_000


@dataclasses.dataclass(frozen=True)
class Finding:
    """One result of a check; span in ms, ``series_id`` None if about a whole source.

    Identified by kind, series, source, start and field. ``status``: `open` if a person must act, else `settled`.
    """

    kind: str
    verdict: str
    series_id: int | None = None
    source_id: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    field: str | None = None
    stored: float | None = None
    other: float | None = None
    difference: float | None = None
    detail: dict[str, Any] = dataclasses.field(default_factory=dict)
    status: str = "open"

    def as_row(self) -> dict[str, Any]:
        """JSON values for record_findings, times in ISO 8601."""
        row = {name: _finite(value) for name, value in vars(self).items() if name not in ("start_ms", "end_ms")}
        row["detail"] = {name: _finite(value) for name, value in self.detail.items()}
        row["start_time"] = None if self.start_ms is None else utc(self.start_ms).isoformat()
        row["end_time"] = None if self.end_ms is None else utc(self.end_ms).isoformat()
        return row


def _finite(value: Any) -> Any:
    """JSON lacks NaN and infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class FindingsLog:
    """``findings``, inside the caller's transaction if any. ``recorded``: how many through this object."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.recorded = 0

    def record(self, findings: Sequence[Finding], fill_run_id: int | None = None) -> list[int]:
        """Write findings; return their ids."""
        if not findings:
            return []
        params = {"findings": Jsonb([one.as_row() for one in findings]), "fill_run_id": fill_run_id}
        with translated_errors():
            ids = [int(row[0]) for row in self._connection.execute(query("findings/record_findings"), params)]
        self.recorded += len(ids)
        return ids

    def settle(
        self,
        kinds: Sequence[str],
        series_id: int | None,
        span: Interval,
        *,
        still_there: Sequence[int] = (),
        source_id: int | None = None,
    ) -> int:
        """Settle open findings of ``kinds`` that start in ``span``, except ``still_there``."""
        params = {
            "kinds": list(kinds),
            "series_id": series_id,
            "source_id": source_id,
            "first": utc(span.start),
            "past": utc(span.end),
            "still_there": list(still_there),
        }
        with translated_errors():
            return self._connection.execute(query("findings/settle_findings"), params).rowcount

    def dismiss(self, ids: Sequence[int], reason: str) -> list[int]:
        """Dismiss all of ``ids`` or none; return those missing or already dismissed."""
        others: list[int] = []
        with translated_errors(), self._connection.transaction():
            rows = self._connection.execute(
                query("findings/dismiss_findings"), {"ids": list(ids), "reason": reason}
            ).fetchall()
            dismissed = {int(row[0]) for row in rows}
            if others := [one for one in ids if one not in dismissed]:
                raise psycopg.Rollback
        return others

    def all(
        self,
        *,
        status: str | None = "open",
        kinds: Sequence[str] | None = None,
        symbols: Sequence[str] | None = None,
        max_rows: int = EVERYTHING,
    ) -> list[dict[str, Any]]:
        """Findings with names, last seen first; None matches all."""
        params = {
            "status": status,
            "kinds": None if kinds is None else list(kinds),
            "symbols": None if symbols is None else list(symbols),
            "max_rows": max_rows,
        }
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query("findings/select_findings"), params).fetchall()

    def bars_with_other_values(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """The stored bars of findings; ``others``: the other source's value by field."""
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query("findings/select_bars_with_other_values"), {"ids": list(ids)}).fetchall()

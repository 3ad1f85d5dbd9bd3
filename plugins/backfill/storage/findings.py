"""What checks have found, in ``findings``: one row for each thing, however often it is seen."""

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
    """One thing that a check has found; the span in ms, ``series_id`` None for what concerns a whole source.

    A finding is the same as an earlier one when kind, series, source, start and field are.
    ``status``: `open` when a person must act, `settled` when it is a record only.
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
        row = {name: _finite(value) for name, value in vars(self).items() if name not in ("start_ms", "end_ms")}
        row["detail"] = {name: _finite(value) for name, value in self.detail.items()}
        row["start_time"] = None if self.start_ms is None else utc(self.start_ms).isoformat()
        row["end_time"] = None if self.end_ms is None else utc(self.end_ms).isoformat()
        return row


def _finite(value: Any) -> Any:
    """What has no place in JSON is unknown."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class FindingsLog:
    """Writes and reads ``findings`` over one connection, inside the caller's transaction if there is one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, findings: Sequence[Finding], fill_run_id: int | None = None) -> list[int]:
        """Write down what was found; give the ids."""
        if not findings:
            return []
        params = {"findings": Jsonb([one.as_row() for one in findings]), "fill_run_id": fill_run_id}
        with translated_errors():
            return [int(row[0]) for row in self._connection.execute(query("findings/record_findings"), params)]

    def settle(
        self,
        kinds: Sequence[str],
        series_id: int | None,
        span: Interval,
        *,
        still_there: Sequence[int] = (),
        source_id: int | None = None,
    ) -> int:
        """Settle the open findings of ``kinds`` that start in ``span``, but for those that are still there."""
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
        """Dismiss all of ``ids`` or none; give those that are not there or were dismissed before."""
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
        """Findings with the names of what they concern, the last seen first; None: whatever it is."""
        params = {
            "status": status,
            "kinds": None if kinds is None else list(kinds),
            "symbols": None if symbols is None else list(symbols),
            "max_rows": max_rows,
        }
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query("findings/select_findings"), params).fetchall()

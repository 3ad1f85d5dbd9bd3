"""Candles and rows of the run log past their retention, and their removal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import class_row

from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.named_queries import query

ROWS_AT_ONCE = 10_000


class PrunableMonth(NamedTuple):
    """A partition that may hold old candles."""

    name: str
    first_ms: int
    past_ms: int


class Retention:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keeps_from_ms(self, at: datetime, settle_ms: int) -> dict[int, int]:
        """The first open time to keep, by series with a retention."""
        with translated_errors():
            rows = self._connection.execute(
                query("retention/select_prunable_series"), {"at": at, "settle_ms": settle_ms}
            ).fetchall()
        return {int(series_id): int(keeps_from_ms) for series_id, keeps_from_ms in rows}

    def months(self, at: datetime, settle_ms: int) -> list[PrunableMonth]:
        """The partitions that lie before some retention."""
        with translated_errors(), self._connection.cursor(row_factory=class_row(PrunableMonth)) as cursor:
            return cursor.execute(
                query("retention/select_prunable_months"), {"at": at, "settle_ms": settle_ms}
            ).fetchall()

    def series_of(self, month: PrunableMonth) -> set[int]:
        """The series with a row in the month's partition."""
        with translated_errors():
            rows = self._connection.execute(_over("retention/select_series_of_partition", month.name))
            return {int(row[0]) for row in rows}

    @contextmanager
    def month_locked(self, month: PrunableMonth, lock_timeout: str) -> Iterator[None]:
        """A transaction that locks the partition, within ``lock_timeout``."""
        with translated_errors(), self._connection.transaction():
            self._connection.execute("SELECT set_config('lock_timeout', %s, true)", (lock_timeout,))
            self._connection.execute(_over("retention/lock_to_drop", month.name))
            yield

    def drop_month(self, month: PrunableMonth, series_ids: Sequence[int]) -> dict[int, int]:
        """Inside :meth:`month_locked`, drop the partition and its records; return bars held, by series."""
        held = self._prune_ledger(series_ids, month.first_ms, month.past_ms)
        self._connection.execute(_over("retention/drop_partition", month.name))
        return held

    def count_before(self, series_id: int, keeps_from_ms: int) -> int:
        """The number of bars before ``keeps_from_ms``."""
        return int(self._number("retention/count_to_prune", series_id, keeps_from_ms))

    def oldest_ms(self, series_id: int, keeps_from_ms: int) -> int | None:
        """The oldest open time before ``keeps_from_ms``, or None."""
        oldest_ms: int | None = self._number("retention/select_oldest_to_prune", series_id, keeps_from_ms)
        return oldest_ms

    def delete_before(self, series_id: int, past_ms: int) -> int:
        """Delete a series' bars before ``past_ms`` and their records; return the number."""
        params = {"series_id": series_id, "past_ms": past_ms}
        with translated_errors(), self._connection.transaction():
            self._connection.execute(query("retention/take_ledger_to_prune"), params)
            deleted = self._connection.execute(query("retention/delete_candles_before"), params).rowcount
            self._prune_ledger([series_id], None, past_ms)
        return deleted

    def prune_runs(self, before: datetime, *, dry_run: bool) -> int:
        """Remove runs older than ``before`` that nothing else names; return their number."""
        return self._prune_log("retention/select_old_runs", "gap_fill_runs", before, dry_run=dry_run)

    def prune_answers(self, before: datetime, *, dry_run: bool) -> int:
        """Remove the counted answers of sources from ``before`` that time; return their number."""
        return self._prune_log("retention/select_old_answers", "source_attempts", before, dry_run=dry_run)

    def _prune_log(self, old: str, table: str, before: datetime, *, dry_run: bool) -> int:
        number, after_id = 0, 0
        with translated_errors():
            while True:
                params = {"before": before, "after_id": after_id, "most": ROWS_AT_ONCE}
                ids = [row[0] for row in self._connection.execute(query(old), params).fetchall()]
                if not ids:
                    return number
                if not dry_run:
                    self._connection.execute(_over("retention/delete_rows", table), {"ids": ids})
                number, after_id = number + len(ids), ids[-1]

    def _prune_ledger(self, series_ids: Sequence[int], first_ms: int | None, past_ms: int) -> dict[int, int]:
        params = {"series_ids": list(series_ids), "first_ms": first_ms, "past_ms": past_ms}
        rows = self._connection.execute(query("retention/prune_ledger"), params).fetchall()
        return {int(series_id): int(bars) for series_id, bars in rows}

    def _number(self, name: str, series_id: int, keeps_from_ms: int) -> Any:
        params = {"series_id": series_id, "keeps_from_ms": keeps_from_ms}
        with translated_errors():
            return fetch_one(self._connection, query(name), params)[0]


def _over(name: str, table: str) -> sql.Composed:
    return sql.SQL(query(name)).format(table=sql.Identifier(table))

"""Remove bars older than their timeframe's retention.

A month that no series needs is dropped as a partition; other bars are deleted in batches. Records about bars go in the
same transaction, so a killed run leaves the ledger correct. Pruned bars are no gaps: no window starts before its
retention (docs/decisions/0020-retention-listing-readiness.md). Series without retention, or unwanted, keep everything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from backfill.domain.timeframes import timeframe, utc
from backfill.errors import DatabaseError, DatabaseUnreachable, SeriesBusy
from backfill.storage.candle_store import CandleStore
from backfill.storage.retention import PrunableMonth
from backfill.storage.series import Selection, SeriesWindow

# Some ten ms per transaction.
BARS_AT_ONCE = 10_000
# Rows are deleted instead if locking the table takes longer.
LOCK_TIMEOUT = "2s"
# Busy series wait for the next run.
PATIENCE_S = 2.0


class PrunableSeries(NamedTuple):
    """A series and the open time (ms) of the first bar it keeps."""

    window: SeriesWindow
    keeps_from_ms: int

    @property
    def series_id(self) -> int:
        return self.window.series_id


@dataclass(frozen=True)
class PruneReport:
    """``series``: symbol, timeframe, keeps_from and candles removed.

    ``dropped``: partitions; ``left``: what to retry.
    """

    series: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """One line per partition, series and failure."""
        return [
            *(f"{name} dropped" for name in self.dropped),
            *(
                f"{row['symbol']} {row['timeframe']}: {row['candles']:,} candles from before {row['keeps_from']:%F %R}"
                for row in self.series
            ),
            *self.left,
        ]

    def totals(self) -> dict[str, int]:
        """Counts of candles, partitions and failures."""
        candles = sum(row["candles"] for row in self.series)
        return {"candles": candles, "partitions": len(self.dropped), "left": len(self.left)}


def prune_candles(
    store: CandleStore, *, settle_ms: int = 0, dry_run: bool = False, at: datetime | None = None
) -> PruneReport:
    """Remove bars past retention as of ``at`` (default now); ``dry_run`` only reports."""
    return _Pruning(store, at or store.now(), settle_ms).run(dry_run=dry_run)


class _Pruning:
    def __init__(self, store: CandleStore, at: datetime, settle_ms: int) -> None:
        self._store = store
        self._retention = store.retention
        self._moment = (at, settle_ms)
        keeps_from_ms = self._retention.keeps_from_ms(at, settle_ms)
        self._series = [
            PrunableSeries(window, keeps_from_ms[window.series_id])
            for window in (store.windows(Selection(at, settle_ms)) if keeps_from_ms else ())
            if window.series_id in keeps_from_ms
        ]
        self._removed: Counter[int] = Counter()
        self._dropped: list[str] = []
        self._left: list[str] = []

    def run(self, *, dry_run: bool) -> PruneReport:
        """Drop months, delete other bars, and report."""
        for month in self._retention.months(*self._moment) if self._series else ():
            if self._is_past(month):
                if dry_run:
                    self._dropped.append(month.name)
                else:
                    self._drop(month)
        for one in self._series:
            if dry_run:
                self._removed[one.series_id] = self._retention.count_before(one.series_id, one.keeps_from_ms)
            else:
                self._delete(one)
        rows = [
            {
                "symbol": one.window.symbol,
                "timeframe": one.window.timeframe,
                "keeps_from": utc(one.keeps_from_ms),
                "candles": self._removed[one.series_id],
            }
            for one in self._series
            if self._removed[one.series_id]
        ]
        return PruneReport(rows, self._dropped, self._left)

    def _is_past(self, month: PrunableMonth) -> bool:
        past = set(self._past_series(month))
        return bool(past) and self._retention.series_of(month) <= past

    def _past_series(self, month: PrunableMonth) -> list[int]:
        return [one.series_id for one in self._series if one.keeps_from_ms >= month.past_ms]

    def _drop(self, month: PrunableMonth) -> None:
        try:
            with self._retention.month_locked(month, LOCK_TIMEOUT):
                if not self._is_past(month):
                    return  # written to meanwhile
                held = self._retention.drop_month(month, self._past_series(month))
        except DatabaseUnreachable:
            raise
        except DatabaseError as error:
            self._left.append(f"{month.name} could not be dropped, its rows are deleted instead: {error}")
            return
        self._dropped.append(month.name)
        self._removed.update(held)

    def _delete(self, one: PrunableSeries) -> None:
        """Oldest first, then records of bars that never were."""
        try:
            with self._store.working_on(one.window, PATIENCE_S):
                past_ms = None
                while past_ms != one.keeps_from_ms:
                    past_ms = self._next_end_ms(one)
                    self._removed[one.series_id] += self._retention.delete_before(one.series_id, past_ms)
        except SeriesBusy as error:
            self._left.append(str(error))

    def _next_end_ms(self, one: PrunableSeries) -> int:
        oldest_ms = self._retention.oldest_ms(one.series_id, one.keeps_from_ms)
        if oldest_ms is None:
            return one.keeps_from_ms
        grid = timeframe(one.window.timeframe)
        return min(one.keeps_from_ms, grid.floor(oldest_ms) + BARS_AT_ONCE * grid.step_ms)

"""Remove the bars that are older than their timeframe's retention.

A month goes at once, by dropping its partition, when no series wants any of it any more; all else goes by deleting,
some thousand bars of one series in a transaction. Whatever is said of the bars goes with them in that transaction: a
run that is killed anywhere leaves the ledger true. They are no gaps afterwards, since no window starts before the
retention of its series (docs/decisions/0020-retention-listing-readiness.md). Series without a retention keep all that
they have, and so do those that are no longer wanted.
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

# A transaction of so many bars takes some ten ms.
BARS_AT_ONCE = 10_000
# Dropping a month needs the whole table to itself for a moment. Without it soon, we give up and try later.
LOCK_TIMEOUT = "2s"
# Old bars can wait: a series that another run works on is left to the next run.
PATIENCE_S = 2.0


class PrunableSeries(NamedTuple):
    """A series, and the open time (ms) of the first bar that it keeps."""

    window: SeriesWindow
    keeps_from_ms: int

    @property
    def series_id(self) -> int:
        return self.window.series_id


@dataclass(frozen=True)
class PruneReport:
    """``series``: symbol, timeframe, keeps_from and the candles removed of each that had any; ``dropped``: partitions;
    ``left``: what the next run has to try again, and why."""

    series: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [
            *(f"{name} dropped" for name in self.dropped),
            *(
                f"{row['symbol']} {row['timeframe']}: {row['candles']:,} candles from before {row['keeps_from']:%F %R}"
                for row in self.series
            ),
            *self.left,
        ]

    def totals(self) -> dict[str, int]:
        candles = sum(row["candles"] for row in self.series)
        return {"candles": candles, "partitions": len(self.dropped), "left": len(self.left)}


def prune_candles(
    store: CandleStore, *, settle_ms: int = 0, dry_run: bool = False, at: datetime | None = None
) -> PruneReport:
    """Remove what is past its retention as of ``at`` (now); with ``dry_run`` only report what that would be."""
    return _Pruning(store, at or store.now(), settle_ms).run(dry_run=dry_run)


class _Pruning:
    """One pass over all series that have a retention."""

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
        """Whether all the rows of a month are past the retention of their series, and there is such a series."""
        past = set(self._past_series(month))
        return bool(past) and self._retention.series_of(month) <= past

    def _past_series(self, month: PrunableMonth) -> list[int]:
        return [one.series_id for one in self._series if one.keeps_from_ms >= month.past_ms]

    def _drop(self, month: PrunableMonth) -> None:
        try:
            with self._retention.month_locked(month, LOCK_TIMEOUT):
                if not self._is_past(month):
                    return  # another writer has written into it since
                held = self._retention.drop_month(month, self._past_series(month))
        except DatabaseUnreachable:
            raise
        except DatabaseError as error:
            self._left.append(f"{month.name} could not be dropped, its rows are deleted instead: {error}")
            return
        self._dropped.append(month.name)
        self._removed.update(held)

    def _delete(self, one: PrunableSeries) -> None:
        """Delete the old bars of a series, oldest first, and then take back what is said of bars that it never had."""
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

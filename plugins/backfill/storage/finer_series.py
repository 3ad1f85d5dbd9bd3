"""What finer series offer to roll up into a coarser one."""

from __future__ import annotations

from dataclasses import dataclass

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import Timeframe, timeframe
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.multiranges import to_intervals
from backfill.storage.named_queries import query
from backfill.storage.series import SeriesWindow


@dataclass(frozen=True)
class FinerSeries:
    """A finer series of the same primary source: see series/select_to_roll_up.sql. Intervals in ms."""

    series_id: int
    timeframe: Timeframe
    missing: list[Interval]
    stale: list[Interval]
    held: list[Interval]
    silent: list[Interval]
    settled: list[Interval]
    trusted: list[int]
    replaced: int
    contradicted: int

    @property
    def source(self) -> str:
        """The source name of derived bars."""
        return f"derived:{self.timeframe.name}"


def finer_series(store: CandleStore, window: SeriesWindow, *, most_replaced: int, recheck: bool) -> list[FinerSeries]:
    """The finer series that ``window`` may be rolled up from, nearest first.

    ``most_replaced``: derived bars to compare with the primary source's. ``recheck``: all derived bars are stale.
    """
    params = {
        "series_id": window.series_id,
        "start_ms": window.start_ms,
        "end_ms": window.end_ms,
        "recheck": recheck,
        "most_replaced": most_replaced,
    }
    with translated_errors():
        rows = store.connection.execute(query("series/select_to_roll_up"), params).fetchall()
    return [
        FinerSeries(
            series_id,
            timeframe(name),
            to_intervals(missing),
            to_intervals(stale),
            to_intervals(held),
            to_intervals(silent),
            to_intervals(settled),
            trusted,
            replaced,
            contradicted,
        )
        for series_id, name, missing, stale, held, silent, settled, trusted, replaced, contradicted in rows
    ]

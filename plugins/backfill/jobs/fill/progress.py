"""How far a fill that takes several runs has come, and when it will be done: from the ledger and the run log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backfill.domain.venues import venue
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection, SeriesWindow

# The rate is that of so many runs: one alone may have been cut short, older ones had other work to do.
MOST_RUNS = 3


@dataclass(frozen=True)
class Progress:
    """What is left, in bars and in requests to the homes, and how fast the last runs were while they ran.

    ``requests_left``: as if no bar could be made of finer ones. ``hours_left``: of work, at that rate but no faster
    than the homes may be asked, without the pauses between runs; 0 when nothing is left. It and ``candles_per_hour``
    are None when no run of the last 24 hours has closed anything.
    """

    candles_left: int
    requests_left: int
    candles_per_hour: float | None
    hours_left: float | None
    runs: int

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def __str__(self) -> str:
        left = f"{self.candles_left:,} candles are missing, about {self.requests_left:,} requests"
        if self.candles_per_hour is None or self.hours_left is None:
            return f"{left}; no run of the last 24 hours shows how long that takes"
        return (
            f"{left}; the last {_counted(self.runs, 'run')} closed {self.candles_per_hour:,.0f} an hour: "
            f"{_duration(self.hours_left)} to go"
        )


def progress(
    store: CandleStore, which: Selection, candles_left: int, *, rows_per_page: Callable[[str], int]
) -> Progress:
    """Of what ``which`` selects, of which ``candles_left`` are missing; ``rows_per_page``: of a source's pages."""
    closed, runs, seconds = store.run_log.fill_rate(which, MOST_RUNS)
    per_hour = 3600 * closed / seconds if closed and seconds else None
    requests_left = _requests_left(store, which, rows_per_page) if candles_left else {}
    at_least_h = max((_hours_at_the_limits(*left) for left in requests_left.items()), default=0.0)
    return Progress(
        candles_left=candles_left,
        requests_left=sum(requests_left.values()),
        candles_per_hour=per_hour,
        hours_left=_hours_left(candles_left, per_hour, at_least_h),
        runs=runs,
    )


def _hours_left(candles_left: int, per_hour: float | None, at_least_h: float) -> float | None:
    if candles_left == 0:
        return 0.0
    return max(candles_left / per_hour, at_least_h) if per_hour else None


def _requests_left(store: CandleStore, which: Selection, rows_per_page: Callable[[str], int]) -> dict[str, int]:
    """By primary source."""
    pages: dict[str, int] = {}
    for primary in _primaries(store, store.windows(which)):
        needed = store.run_log.requests_needed(which, primary, rows_per_page(primary))
        pages[primary] = sum(one.pages for one in needed)
    return pages


def _primaries(store: CandleStore, windows: Sequence[SeriesWindow]) -> list[str]:
    return store.source_names(list(dict.fromkeys(window.source_ids[0] for window in windows)))


def _hours_at_the_limits(source: str, requests: int) -> float:
    """A short run is a burst, whose rate cannot last: a period passes for each time that its limit is used up."""
    limits_per_period_s = venue(source).limits_per_period_s
    return max(max(0, requests - 1) // limit * period_s for limit, period_s in limits_per_period_s) / 3600


def _counted(count: int, what: str) -> str:
    return what if count == 1 else f"{count} {what}s"


def _duration(hours: float) -> str:
    minutes = max(1, round(60 * hours))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"

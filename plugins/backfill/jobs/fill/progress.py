"""Progress and remaining time of a fill that takes several runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backfill.domain.venues import venue
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection

# One run may have been cut short; older ones had other work.
MOST_RUNS = 3


@dataclass(frozen=True)
class Progress:
    """Remaining bars and primary requests, and the rate of the last runs.

    ``requests_left`` ignores roll-ups. ``hours_left``: working time at that rate, within rate limits; 0 when done. It
    and ``candles_per_hour`` are None if no run of the last 24 hours closed anything.
    """

    candles_left: int
    requests_left: int
    candles_per_hour: float | None
    hours_left: float | None
    runs: int

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dict."""
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
    """Progress of ``which``; ``rows_per_page``: page size by source."""
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
    """Requests by primary source."""
    pages: dict[str, int] = {}
    for primary in store.wishes.primaries(which):
        needed = store.run_log.requests_needed(which, primary, rows_per_page(primary))
        pages[primary] = sum(one.pages for one in needed)
    return pages


def _hours_at_the_limits(source: str, requests: int) -> float:
    """Bursts do not last: each used-up limit costs its period."""
    limits_per_period_s = venue(source).limits_per_period_s
    return max(max(0, requests - 1) // limit * period_s for limit, period_s in limits_per_period_s) / 3600


def _counted(count: int, what: str) -> str:
    return what if count == 1 else f"{count} {what}s"


def _duration(hours: float) -> str:
    minutes = max(1, round(60 * hours))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"

"""Timeframes and their UTC grids: bars open at ``anchor_ms + k * step_ms``.

Weeks open on Monday; the epoch was a Thursday.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple

from backfill.errors import UnknownTimeframe

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
FIRST_MONDAY_MS = 4 * DAY_MS


def utc(ms: int) -> datetime:
    """Epoch milliseconds as an aware UTC time."""
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc)


class Timeframe(NamedTuple):
    """One bar length and an anchor, in ms."""

    name: str
    step_ms: int
    anchor_ms: int = 0

    def floor(self, ms: int) -> int:
        """Open time of the bar that contains ``ms``."""
        return ms - (ms - self.anchor_ms) % self.step_ms

    def ceil(self, ms: int) -> int:
        """First open time at or after ``ms``."""
        return ms + (self.anchor_ms - ms) % self.step_ms

    def is_on_grid(self, ms: int) -> bool:
        """Whether a bar opens at ``ms``."""
        return (ms - self.anchor_ms) % self.step_ms == 0

    def last_closed_end(self, now_ms: int, settle_ms: int = 0) -> int:
        """End of the last bar closed ``settle_ms`` before ``now_ms``."""
        return self.floor(now_ms - settle_ms)

    def bars(self, start_ms: int, end_ms: int) -> int:
        """Number of bars that open in the span."""
        return max(0, (self.ceil(end_ms) - self.ceil(start_ms)) // self.step_ms)


TIMEFRAMES: dict[str, Timeframe] = {
    t.name: t
    for t in (
        Timeframe("1m", MINUTE_MS),
        Timeframe("3m", 3 * MINUTE_MS),
        Timeframe("5m", 5 * MINUTE_MS),
        Timeframe("15m", 15 * MINUTE_MS),
        Timeframe("30m", 30 * MINUTE_MS),
        Timeframe("1h", HOUR_MS),
        Timeframe("2h", 2 * HOUR_MS),
        Timeframe("4h", 4 * HOUR_MS),
        Timeframe("6h", 6 * HOUR_MS),
        Timeframe("8h", 8 * HOUR_MS),
        Timeframe("12h", 12 * HOUR_MS),
        Timeframe("1d", DAY_MS),
        Timeframe("1w", 7 * DAY_MS, FIRST_MONDAY_MS),
    )
}


def timeframe(name: object) -> Timeframe:
    """The timeframe called ``name`` (``1M`` is not ``1m``); raises :class:`UnknownTimeframe`."""
    known = TIMEFRAMES.get(name) if isinstance(name, str) else None
    if known is None:
        raise UnknownTimeframe(name, list(TIMEFRAMES))
    return known

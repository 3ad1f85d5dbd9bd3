"""How many bars of a series a chart joins into one."""

from __future__ import annotations

from backfill.domain.timeframes import DAY_MS, TIMEFRAMES

# Each divides a week or is made of whole ones, so all open on one grid of Mondays.
_LONG_MS = tuple(7 * DAY_MS * weeks for weeks in (1, 2, 4, 8, 16, 32, 64))
BUCKETS_MS = tuple(sorted({*(t.step_ms for t in TIMEFRAMES.values()), *_LONG_MS}))


def bucket_ms(step_ms: int, span_ms: int, max_bars: int) -> int:
    """The shortest bucket of whole bars that needs at most ``max_bars`` for the span, else the longest."""
    whole = [one for one in BUCKETS_MS if one % step_ms == 0]
    return next((one for one in whole if span_ms <= one * max_bars), whole[-1])

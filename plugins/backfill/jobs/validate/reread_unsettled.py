"""Read recent bars once more after they have settled: an exchange may correct a bar for a while after its end.

Mostly there is nothing to do: the next fill asks for a full page, and its overlap has the bars before
again. What is left are bars that a foreign writer has stored, and bars of series that stand still.
"""

from __future__ import annotations

from backfill.domain.intervals import Interval, intersection, total_ms
from backfill.domain.timeframes import DAY_MS, HOUR_MS
from backfill.jobs.validate.validation_context import ValidationContext
from backfill.sources.fetch import SETTLED_AFTER_MS

# So long the next page may take to come by itself. Two bars of large timeframes: theirs come that seldom.
OVERDUE_AFTER_MS = 6 * HOUR_MS
# Older bars than these are left to the rolling samples.
REACH_MS = 7 * DAY_MS


def reread_unsettled(check: ValidationContext) -> None:
    """Have the home tell all settled bars again that it has not, if one of them is overdue."""
    step_ms = check.timeframe.step_ms
    settled_ms = check.timeframe.floor(check.at_ms - SETTLED_AFTER_MS)
    reach = Interval(check.timeframe.floor(check.at_ms - REACH_MS) - 2 * step_ms, settled_ms)
    due = intersection(check.to_check().unsettled, [reach])
    if not due or due[0].start + step_ms > check.at_ms - max(OVERDUE_AFTER_MS, 2 * step_ms + SETTLED_AFTER_MS):
        return
    if check.ask_home_again(due):
        check.counts["reread"] += total_ms(due) // step_ms

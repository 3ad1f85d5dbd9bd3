"""Read recent bars again once settled, since exchanges correct bars for a while.

Usually the overlap of the next fill does so. What remains are bars of foreign writers and of idle series.
"""

from __future__ import annotations

from backfill.domain.intervals import Interval, intersection, total_ms
from backfill.domain.timeframes import DAY_MS, HOUR_MS
from backfill.jobs.validate.validation_context import ValidationContext
from backfill.sources.fetch import SETTLED_AFTER_MS

# Time for the next fill to reread a bar; two bars on large timeframes.
OVERDUE_AFTER_MS = 6 * HOUR_MS
# Older bars are left to the rolling samples.
REACH_MS = 7 * DAY_MS


def reread_unsettled(check: ValidationContext) -> None:
    """Fetch all due bars again if one of them is overdue."""
    step_ms = check.timeframe.step_ms
    settled_ms = check.timeframe.floor(check.at_ms - SETTLED_AFTER_MS)
    reach = Interval(check.timeframe.floor(check.at_ms - REACH_MS) - 2 * step_ms, settled_ms)
    due = intersection(check.to_check().unsettled, [reach])
    if not due or due[0].start + step_ms > check.at_ms - max(OVERDUE_AFTER_MS, 2 * step_ms + SETTLED_AFTER_MS):
        return
    if check.ask_primary_again(due):
        check.counts["reread"] += total_ms(due) // step_ms

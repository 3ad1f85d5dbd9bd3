"""Plan the fewest pages that cover the gaps.

On a fixed grid every cursor is known in advance. Placing each page's newer edge on the newest uncovered bar, the greedy
cover of points by equal intervals, is minimal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from backfill.domain.intervals import Interval, union


class PlannedPage(NamedTuple):
    """One request: bars before ``after_ms``, wanted from ``reach_ms`` on."""

    after_ms: int
    reach_ms: int


def plan_pages(gaps: Iterable[Interval], step_ms: int, rows_per_page: int) -> list[PlannedPage]:
    """The fewest pages of ``rows_per_page`` bars for ``gaps`` (ms, on the grid), newest first."""
    page_ms = step_ms * rows_per_page
    pages: list[PlannedPage] = []
    for start, end in reversed(union(gaps)):
        if pages:
            page_start = pages[-1].after_ms - page_ms
            if page_start < end:
                pages[-1] = pages[-1]._replace(reach_ms=max(start, page_start))
            end = min(end, page_start)
        while end > start:
            pages.append(PlannedPage(after_ms=end, reach_ms=max(start, end - page_ms)))
            end -= page_ms
    return pages

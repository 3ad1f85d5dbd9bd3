"""The rolling plan that reads old pages again: how often, how many, and which."""

from __future__ import annotations

from collections.abc import Sequence

from backfill.domain.intervals import Interval, intersection

# Of the source's rate, over all series.
ROLLING_SHARE = 0.02
# The same, for pages beside corrections.
WIDENED_SHARE = 0.10
MOST_PAGES = 4
MOST_WIDENED = 16


def page_every_ms(pages: int, every_ms: int, sharers: int, requests_per_ms: float) -> float:
    """Time between two pages of one series: each page once in ``every_ms``, if its share of the rate allows."""
    return max(every_ms / max(1, pages), sharers / (ROLLING_SHARE * requests_per_ms))


def widened_pages(run_every_ms: int, sharers: int, requests_per_ms: float) -> int:
    """Pages beside corrections that one series may ask for in a run."""
    share = WIDENED_SHARE * requests_per_ms * run_every_ms / max(1, sharers)
    return max(1, min(MOST_WIDENED, int(share)))


def page_before(native: Sequence[Interval], next_ms: int | None, page_ms: int) -> Interval | None:
    """The newest page of bars that ends at or before ``next_ms``; after the oldest, from the newest again."""
    if not native:
        return None
    older = native if next_ms is None else intersection(native, [Interval(native[0].start, next_ms)])
    end_ms = (older or native)[-1].end
    return Interval(end_ms - page_ms, end_ms)

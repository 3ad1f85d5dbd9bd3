"""Old pages are read again in turn, each in its time, at a share of the source's rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.intervals import Interval, intersection, union
from backfill.domain.reread_plan import MOST_WIDENED, ROLLING_SHARE, page_before, page_every_ms, widened_pages

WEEK_MS = 7 * 24 * 3_600_000
BLOFIN_PER_MS = 1500 / 300_000
SPANS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 60)).map(lambda one: Interval(one[0], one[0] + one[1])), min_size=1
).map(union)


@given(native=SPANS, page_ms=st.integers(1, 50))
def test_walking_reads_every_bar_and_then_starts_over(native: list[Interval], page_ms: int) -> None:
    read: list[Interval] = []
    next_ms, pages = None, []
    while not pages or pages[-1].start > native[0].start:
        page = page_before(native, next_ms, page_ms)
        assert page is not None
        assert intersection(native, [page]), "no page without a bar"
        pages.append(page)
        next_ms = page.start
        read = union([*read, page])
    assert intersection(native, read) == native
    assert page_before(native, next_ms, page_ms) == pages[0]


def test_nothing_held_is_nothing_to_read() -> None:
    assert page_before([], None, 10) is None


@pytest.mark.parametrize("sharers", [1, 32, 490, 5000])
@pytest.mark.parametrize("pages", [1, 7, 365, 1825])
def test_all_series_together_stay_within_their_share_of_the_rate(sharers: int, pages: int) -> None:
    every_ms = page_every_ms(pages, WEEK_MS, sharers, BLOFIN_PER_MS)

    assert sharers / every_ms <= ROLLING_SHARE * BLOFIN_PER_MS * 1.000001
    assert every_ms >= WEEK_MS / pages
    assert 1 <= widened_pages(1_800_000, sharers, BLOFIN_PER_MS) <= MOST_WIDENED

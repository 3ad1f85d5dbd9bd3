"""The fewest pages that cover the gaps."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.intervals import Interval, union
from backfill.domain.page_plan import PlannedPage, plan_pages
from backfill.domain.timeframes import DAY_MS, MINUTE_MS

STEP_MS = 60_000
ROWS_PER_PAGE = st.integers(1, 12)


def on_grid(pairs: list[tuple[int, int]]) -> list[Interval]:
    return [Interval(start * STEP_MS, end * STEP_MS) for start, end in pairs]


def gaps_within(bars: int, most: int) -> st.SearchStrategy[list[Interval]]:
    """As the store gives them, and as it never should: overlapping, touching, empty, in any order."""
    pair = st.tuples(st.integers(0, bars), st.integers(0, 6))
    return st.lists(pair.map(lambda gap: (gap[0], gap[0] + gap[1])), max_size=most).map(on_grid)


GAPS = gaps_within(40, 8)


def bars_of(intervals: list[Interval]) -> set[int]:
    return {ms for start, end in intervals for ms in range(start, end, STEP_MS)}


def fewest_pages(bars: set[int], rows_per_page: int) -> int:
    """By trying, for the newest bar left, every page that could cover it."""
    page_ms = rows_per_page * STEP_MS

    @cache
    def fewest(left: frozenset[int]) -> int:
        if not left:
            return 0
        newest = max(left)
        ends = range(newest + STEP_MS, newest + page_ms + 1, STEP_MS)
        return 1 + min(fewest(frozenset(ms for ms in left if not end - page_ms <= ms < end)) for end in ends)

    return fewest(frozenset(bars))


@given(GAPS, ROWS_PER_PAGE)
def test_every_missing_bar_is_reached_by_exactly_one_page_that_can_hold_it(gaps, rows_per_page):
    pages = plan_pages(gaps, STEP_MS, rows_per_page)
    reached = [ms for page in pages for ms in range(page.reach_ms, page.after_ms, STEP_MS)]
    assert len(reached) == len(set(reached))
    assert bars_of(gaps) <= set(reached)
    assert all(0 < page.after_ms - page.reach_ms <= rows_per_page * STEP_MS for page in pages)


@given(gaps_within(12, 4), st.integers(1, 5))
def test_no_plan_has_fewer_pages(gaps, rows_per_page):
    assert len(plan_pages(gaps, STEP_MS, rows_per_page)) == fewest_pages(bars_of(gaps), rows_per_page)


@given(GAPS, ROWS_PER_PAGE)
def test_pages_come_newest_first_and_full_ones_do_not_overlap(gaps, rows_per_page):
    pages = plan_pages(gaps, STEP_MS, rows_per_page)
    assert all(older.after_ms <= newer.after_ms - rows_per_page * STEP_MS for newer, older in pairwise(pages))


@given(GAPS, ROWS_PER_PAGE)
def test_a_page_begins_and_ends_at_a_missing_bar(gaps, rows_per_page):
    missing = bars_of(gaps)
    for page in plan_pages(gaps, STEP_MS, rows_per_page):
        assert page.reach_ms in missing
        assert page.after_ms - STEP_MS in missing


@given(GAPS, ROWS_PER_PAGE)
def test_how_the_gaps_are_cut_and_ordered_changes_nothing(gaps, rows_per_page):
    cut = [Interval(ms, ms + STEP_MS) for ms in sorted(bars_of(gaps), key=lambda ms: (ms // STEP_MS) % 3)]
    assert plan_pages(iter(cut), STEP_MS, rows_per_page) == plan_pages(union(gaps), STEP_MS, rows_per_page)


def test_no_gaps_need_no_pages():
    assert plan_pages([], STEP_MS, 1440) == []


def test_neighbours_that_fit_into_one_page_are_one_request():
    gaps = on_grid([(0, 1), (700, 701), (1439, 1440)])
    assert plan_pages(gaps, STEP_MS, 1440) == [PlannedPage(after_ms=1440 * STEP_MS, reach_ms=0)]


def test_a_neighbour_one_bar_too_far_is_a_request_of_its_own():
    gaps = on_grid([(0, 1), (1440, 1441)])
    assert plan_pages(gaps, STEP_MS, 1440) == [
        PlannedPage(after_ms=1441 * STEP_MS, reach_ms=1440 * STEP_MS),
        PlannedPage(after_ms=STEP_MS, reach_ms=0),
    ]


def test_the_rest_of_a_gap_that_a_page_cuts_through_is_asked_for_by_the_next():
    assert plan_pages(on_grid([(0, 4), (6, 8)]), STEP_MS, 5) == [
        PlannedPage(after_ms=8 * STEP_MS, reach_ms=3 * STEP_MS),
        PlannedPage(after_ms=3 * STEP_MS, reach_ms=0),
    ]


@pytest.mark.parametrize(("rows_per_page", "pages"), [(1440, 7), (300, 34), (100, 101)])
def test_seven_days_of_minutes_take_as_many_pages_as_they_must(rows_per_page, pages):
    week = [Interval(0, 7 * DAY_MS)]
    assert len(plan_pages(week, MINUTE_MS, rows_per_page)) == pages


def test_thirty_two_symbols_of_seven_days_take_224_requests():
    assert 32 * len(plan_pages([Interval(DAY_MS, 8 * DAY_MS)], MINUTE_MS, 1440)) == 224

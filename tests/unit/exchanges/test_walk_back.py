"""Walking a source back, however few rows it gives at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.answers import bar_intervals, denied
from backfill.domain.intervals import Interval
from backfill.domain.page_plan import plan_pages
from backfill.domain.timeframes import timeframe
from backfill.errors import PaginationStalled
from backfill.sources.walk_back import walk_back

MINUTE = timeframe("1m")
STEP_MS = MINUTE.step_ms
BASE_MS = 1_763_601_420_000


class Page(NamedTuple):
    """The open times of one answer, newest first."""

    opens_ms: list[int]

    @property
    def oldest_ms(self) -> int | None:
        return min(self.opens_ms, default=None)


class Source:
    """Has some bars, and gives the newest of those before a cursor, never more than ``cap``."""

    def __init__(self, places: Iterable[int], cap: int) -> None:
        self.opens_ms = sorted((ms(place) for place in places), reverse=True)
        self.cap = cap
        self.asked: list[int] = []

    def fetch(self, cursor_ms: int) -> Page:
        self.asked.append(cursor_ms)
        return Page([open_ms for open_ms in self.opens_ms if open_ms < cursor_ms][: self.cap])


def ms(place: int) -> int:
    return BASE_MS + place * STEP_MS


PLACES = st.sets(st.integers(0, 40))
CAPS = st.integers(1, 15)


@given(PLACES, CAPS, st.integers(0, 45), st.integers(0, 45))
def test_every_bar_that_is_wanted_comes_exactly_once_whatever_the_source_gives_at_a_time(places, cap, after, reach):
    source = Source(places, cap)
    pages = list(walk_back(source.fetch, ms(after), ms(reach), "blofin"))
    came = [open_ms for _, page in pages for open_ms in page.opens_ms]
    assert len(came) == len(set(came))
    assert {ms(place) for place in places if reach <= place < after} <= set(came)
    assert [cursor for cursor, _ in pages] == source.asked


@given(PLACES, CAPS, st.integers(1, 45))
def test_nobody_is_asked_again_once_the_wanted_time_is_reached(places, cap, after):
    source = Source(places, cap)
    pages = [page for _, page in walk_back(source.fetch, ms(after), ms(10), "blofin")]
    assert all(page.oldest_ms is not None and page.oldest_ms > ms(10) for page in pages[:-1])


def test_an_empty_page_is_the_last_and_is_given_too():
    source = Source([], cap=5)
    assert list(walk_back(source.fetch, ms(9), ms(0), "blofin")) == [(ms(9), Page([]))]


def test_nothing_wanted_asks_nobody():
    source = Source(range(10), cap=5)
    assert list(walk_back(source.fetch, ms(5), ms(5), "blofin")) == []
    assert source.asked == []


def test_a_page_is_asked_for_only_when_the_one_before_was_taken():
    source = Source(range(10), cap=1)
    pages = walk_back(source.fetch, ms(10), ms(0), "blofin")
    next(pages)
    next(pages)
    assert source.asked == [ms(10), ms(9)]


@pytest.mark.parametrize(
    "stuck",
    [
        lambda cursor_ms: Page([cursor_ms]),  # takes its cursor as inclusive
        lambda cursor_ms: Page([ms(40), ms(39)]),  # ignores its cursor: the newest page for ever
        lambda cursor_ms: Page([cursor_ms + 5 * STEP_MS, cursor_ms + STEP_MS]),  # walks the wrong way
    ],
)
def test_a_page_that_brings_nothing_older_ends_the_walk_with_an_error(stuck: Callable[[int], Page]):
    pages = walk_back(stuck, ms(20), ms(0), "blofin")
    next(pages)
    with pytest.raises(PaginationStalled, match="older than 2025-11-20T01:37:00Z") as caught:
        next(pages)
    assert caught.value.exchange == "blofin"


@given(
    has=PLACES,
    cap=CAPS,
    gaps=st.lists(st.tuples(st.integers(0, 45), st.integers(0, 9)).map(lambda gap: Interval(ms(gap[0]), ms(sum(gap))))),
    rows_per_page=CAPS,
)
def test_after_all_planned_pages_each_missing_bar_is_given_or_rightly_denied(has, cap, gaps, rows_per_page):
    source = Source(has, cap)
    came: set[int] = set()
    absent: set[int] = set()
    for planned in plan_pages(gaps, STEP_MS, rows_per_page):
        for cursor_ms, page in walk_back(source.fetch, planned.after_ms, planned.reach_ms, "blofin"):
            came |= set(page.opens_ms)
            for start, end in what_is_denied(cursor_ms, page):
                absent |= set(range(start, end, STEP_MS))
    missing = {open_ms for start, end in gaps for open_ms in range(start, end, STEP_MS)}
    assert missing <= came | absent
    assert not absent & set(source.opens_ms)


def what_is_denied(cursor_ms: int, page: Page) -> list[Interval]:
    """As a fill reads it, long after every bar has closed."""
    window = Interval(ms(0), ms(60))
    if page.oldest_ms is None:
        return [Interval(window.start, cursor_ms)]
    return denied(
        window=window,
        asked_before_ms=cursor_ms,
        oldest_ms=page.oldest_ms,
        newest_ms=max(page.opens_ms),
        given=bar_intervals(np.array(page.opens_ms[::-1]), STEP_MS),
        doubtful_ms=[],
        timeframe=MINUTE,
        now_ms=ms(1000),
    )

"""What an answer gives and what it denies, checked bar by bar."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.answers import LATE_MS, bar_intervals, silent
from backfill.domain.intervals import Interval, union
from backfill.domain.timeframes import TIMEFRAMES, Timeframe, timeframe

MINUTE = timeframe("1m")
TEN_MINUTES = LATE_MS // MINUTE.step_ms


@given(st.sets(st.integers(-30, 30)), st.sampled_from([1, 60_000]))
def test_bars_become_the_intervals_that_cover_them_and_nothing_else(places, step_ms):
    opens = np.array(sorted(places), dtype="int64") * step_ms
    intervals = bar_intervals(opens, step_ms)
    assert intervals == union(Interval(place * step_ms, (place + 1) * step_ms) for place in places)


class Asked(NamedTuple):
    """A question to a source that has ``given`` bars and ``doubtful`` rows, counted in bars from ``base_ms``."""

    timeframe: Timeframe
    base_ms: int
    window: tuple[int, int]
    before: int
    oldest: int
    newest: int
    given: frozenset[int]
    doubtful: frozenset[int]
    doubtful_offset_ms: int
    now_ms: int

    def ms(self, place: int) -> int:
        return self.base_ms + place * self.timeframe.step_ms

    def silent(self) -> list[Interval]:
        return silent(
            window=Interval(self.ms(self.window[0]), self.ms(self.window[1])),
            asked_before_ms=self.ms(self.before),
            oldest_ms=self.ms(self.oldest),
            newest_ms=self.ms(self.newest),
            given=bar_intervals(np.array([self.ms(place) for place in sorted(self.given)]), self.timeframe.step_ms),
            doubtful_ms=[self.ms(place) + self.doubtful_offset_ms for place in self.doubtful],
            timeframe=self.timeframe,
            now_ms=self.now_ms,
        )

    def denied_places(self) -> set[int]:
        """The bars of what is denied, which must be whole bars."""
        places = set()
        for start, end in self.silent():
            assert self.timeframe.is_on_grid(start)
            assert self.timeframe.is_on_grid(end)
            places |= {
                (ms - self.base_ms) // self.timeframe.step_ms for ms in range(start, end, self.timeframe.step_ms)
            }
        return places


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    bar = draw(st.sampled_from([TIMEFRAMES[name] for name in ("1m", "15m", "1d", "1w")]))
    base_ms = bar.floor(1_763_601_420_000)
    before = draw(st.integers(1, 40))
    rows = draw(st.sets(st.integers(0, before - 1), min_size=1, max_size=20))
    doubtful = draw(st.sets(st.sampled_from(sorted(rows)), max_size=3))
    first = draw(st.integers(0, 30))
    return Asked(
        timeframe=bar,
        base_ms=base_ms,
        window=(first, draw(st.integers(first, 45))),
        before=before,
        oldest=min(rows),
        newest=max(rows),
        given=frozenset(rows - doubtful),
        doubtful=frozenset(doubtful),
        doubtful_offset_ms=draw(st.integers(0, bar.step_ms - 1)),
        now_ms=base_ms + draw(st.integers(0, 45 * bar.step_ms)) + draw(st.sampled_from([0, LATE_MS])),
    )


@given(questions())
def test_nothing_is_denied_that_was_given_doubtful_or_not_asked_for(asked):
    places = asked.denied_places()
    assert not places & asked.given
    assert not places & asked.doubtful
    assert all(asked.window[0] <= place < min(asked.window[1], asked.before) for place in places)
    assert all(place >= asked.oldest for place in places)


@given(questions())
def test_every_hole_between_two_rows_is_silent(asked):
    holes = set(range(asked.oldest, asked.newest)) - asked.given - asked.doubtful
    assert {place for place in holes if asked.window[0] <= place < asked.window[1]} <= asked.denied_places()


@given(questions())
def test_after_the_newest_row_a_bar_is_denied_when_it_closed_ten_minutes_ago_and_not_before(asked):
    asked_for = range(max(asked.window[0], asked.newest + 1), min(asked.window[1], asked.before))
    old_enough = {place for place in asked_for if asked.ms(place + 1) <= asked.now_ms - LATE_MS}
    assert {place for place in asked.denied_places() if place > asked.newest} == old_enough - asked.doubtful


def minutes(given: set[int], before: int, now: int, doubtful: set[int] = frozenset()) -> list[tuple[int, int]]:
    """The minutes denied, as half-open pairs, of a window that is [0, 100)."""
    asked = Asked(
        *(MINUTE, MINUTE.floor(1_763_601_420_000), (0, 100), before, min(given), max(given), frozenset(given)),
        *(frozenset(doubtful), 0, MINUTE.floor(1_763_601_420_000) + now * MINUTE.step_ms),
    )
    return [tuple((ms - asked.base_ms) // MINUTE.step_ms for ms in interval) for interval in asked.silent()]


def test_an_answer_without_holes_denies_nothing():
    assert minutes(given=set(range(10, 50)), before=50, now=200) == []


def test_what_is_older_than_the_oldest_row_is_not_denied_it_is_the_next_page():
    assert minutes(given={40, 41, 45}, before=46, now=200) == [(42, 45)]


def test_the_newest_minutes_may_only_be_late():
    assert minutes(given={80}, before=100, now=100) == [(81, 100 - TEN_MINUTES)]
    assert minutes(given={95}, before=100, now=100) == []
    assert minutes(given={95}, before=100, now=100 + TEN_MINUTES) == [(96, 100)]


def test_the_window_may_be_long_over_when_the_answer_is_newer_than_it():
    assert minutes(given={10, 99, 120}, before=121, now=130) == [(11, 99)]


@pytest.mark.parametrize("offset_ms", [0, 1, 59_999])
def test_a_row_that_could_not_be_used_saves_its_bar_wherever_inside_the_bar_it_was(offset_ms):
    base_ms = MINUTE.floor(1_763_601_420_000)
    found = silent(
        window=Interval(base_ms, base_ms + 10 * MINUTE.step_ms),
        asked_before_ms=base_ms + 10 * MINUTE.step_ms,
        oldest_ms=base_ms,
        newest_ms=base_ms + 9 * MINUTE.step_ms,
        given=[
            Interval(base_ms, base_ms + 4 * MINUTE.step_ms),
            Interval(base_ms + 9 * MINUTE.step_ms, base_ms + 10**6),
        ],
        doubtful_ms=[base_ms + 6 * MINUTE.step_ms + offset_ms],
        timeframe=MINUTE,
        now_ms=base_ms + 10**8,
    )
    assert found == [
        Interval(base_ms + 4 * MINUTE.step_ms, base_ms + 6 * MINUTE.step_ms),
        Interval(base_ms + 7 * MINUTE.step_ms, base_ms + 9 * MINUTE.step_ms),
    ]

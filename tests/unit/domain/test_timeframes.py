"""Grids in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.timeframes import TIMEFRAMES, Timeframe, timeframe
from backfill.errors import UnknownTimeframe

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
LENGTHS = {
    **{f"{minutes}m": timedelta(minutes=minutes) for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": timedelta(hours=hours) for hours in (1, 2, 4, 6, 8, 12)},
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}
EVERY = st.sampled_from(list(TIMEFRAMES.values()))
MOMENTS = st.integers(-(10**12), 4 * 10**12)


def ms(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def opening_of(name: str, at: datetime) -> datetime:
    """When the bar that contains ``at`` opens, by the calendar."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "1w":
        return day - timedelta(days=day.weekday())
    return day + (at - day) // LENGTHS[name] * LENGTHS[name]


def test_the_table_has_every_timeframe_at_its_length():
    assert {name: timedelta(milliseconds=known.step_ms) for name, known in TIMEFRAMES.items()} == LENGTHS
    assert all(timeframe(name).name == name for name in LENGTHS)


@pytest.mark.parametrize(
    "name", ["1M", "7m", "60m", "1H", "1D", "1W", "3d", "", " 1m", "1m ", None, 60, 1.5, ["1m"], b"1m"]
)
def test_a_timeframe_that_is_not_in_the_table_is_an_error_that_names_it_and_the_known_ones(name):
    with pytest.raises(UnknownTimeframe) as caught:
        timeframe(name)
    assert caught.value.timeframe == name
    assert repr(name) in str(caught.value)
    assert "1m 3m 5m" in str(caught.value)


@given(st.sampled_from(list(LENGTHS)), MOMENTS)
def test_bars_open_where_the_calendar_says_weeks_on_monday(name, at_ms):
    at = EPOCH + timedelta(milliseconds=at_ms)
    assert timeframe(name).floor(at_ms) == ms(opening_of(name, at))


def test_a_week_is_monday_to_monday_in_utc():
    week = timeframe("1w")
    monday = ms(datetime(2026, 11, 16, tzinfo=timezone.utc))
    next_monday = ms(datetime(2026, 11, 23, tzinfo=timezone.utc))
    assert week.floor(next_monday - 1) == monday
    assert week.floor(next_monday) == next_monday
    assert week.bars(monday, next_monday) == 1


@given(EVERY, MOMENTS)
def test_floor_and_ceil_are_the_nearest_places_on_the_grid(bar, at_ms):
    floor, ceil = bar.floor(at_ms), bar.ceil(at_ms)
    assert floor <= at_ms <= ceil
    assert bar.is_on_grid(floor)
    assert bar.is_on_grid(ceil)
    assert ceil - floor == (0 if bar.is_on_grid(at_ms) else bar.step_ms)


@given(EVERY, MOMENTS, st.integers(1, 10**9))
def test_on_the_grid_is_every_step_and_nothing_between(bar, at_ms, offset):
    opening = bar.floor(at_ms)
    assert bar.is_on_grid(opening + offset) == (offset % bar.step_ms == 0)


@given(st.integers(1, 50), st.integers(-50, 50), st.integers(-200, 200), st.integers(-200, 200))
def test_bars_are_the_openings_inside_the_half_open_span(step_ms, anchor_ms, start_ms, end_ms):
    bar = Timeframe("test", step_ms, anchor_ms)
    openings = [at_ms for at_ms in range(start_ms, end_ms) if (at_ms - anchor_ms) % step_ms == 0]
    assert bar.bars(start_ms, end_ms) == len(openings)


@given(EVERY, MOMENTS, st.integers(0, 3_600_000))
def test_the_last_closed_bar_had_ended_by_then_and_the_next_one_had_not(bar, now_ms, settle_ms):
    end_ms = bar.last_closed_end(now_ms, settle_ms)
    assert bar.is_on_grid(end_ms)
    assert end_ms <= now_ms - settle_ms < end_ms + bar.step_ms


def test_seven_days_hold_ten_thousand_and_eighty_minutes():
    assert timeframe("1m").bars(0, 7 * 86_400_000) == 10_080

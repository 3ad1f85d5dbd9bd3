"""The grid and the windows at moments that matter: each weekday, month ends, 29 February, zones with summer time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from backfill.config.universe_model import SeriesWish
from backfill.domain.timeframes import DAY_MS, MINUTE_MS, TIMEFRAMES

MOMENTS = {
    **{f"weekday {day}": f"2027-03-{day:02}T12:34:56" for day in range(1, 8)},
    "a month's last second": "2027-03-31T23:59:59",
    "a month's first second": "2027-04-01T00:00:00",
    "29 February": "2028-02-29T23:59:59",
    "1 March of a leap year": "2028-03-01T00:00:00",
    "a year's last second": "2026-12-31T23:59:59",
    "a year's first second": "2027-01-01T00:00:00",
    "a minute before summer time in Berlin": "2027-03-28T00:59:00",
    "a minute after it": "2027-03-28T01:01:00",
    "a minute before summer time ends in Berlin": "2027-10-31T00:59:00",
    "a minute after that": "2027-10-31T01:01:00",
    "a minute before summer time in New York": "2027-03-14T06:59:00",
    "a minute before summer time ends in New York": "2027-11-07T05:59:00",
    "a second before a week closes": "2027-05-16T23:59:59",
    "the moment a week closes": "2027-05-17T00:00:00",
}


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine's own zone, which may change nothing."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def opens(name: str, moment: datetime) -> datetime:
    """When the bar that contains a moment opens, by the calendar and not by arithmetic of ms."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "1w":
        return midnight - timedelta(days=moment.weekday())
    minutes = TIMEFRAMES[name].step_ms // MINUTE_MS
    past = (moment.hour * 60 + moment.minute) // minutes * minutes
    return midnight + timedelta(minutes=past)


@pytest.mark.parametrize("name", TIMEFRAMES)
@pytest.mark.parametrize("text", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.usefixtures("zone")
def test_a_bar_opens_where_the_calendar_says(name: str, text: str) -> None:
    grid, moment = TIMEFRAMES[name], at(text)
    open_ms = ms(opens(name, moment))
    assert grid.floor(ms(moment)) == open_ms
    assert grid.last_closed_end(ms(moment)) == open_ms
    assert grid.ceil(ms(moment)) == (open_ms if open_ms == ms(moment) else open_ms + grid.step_ms)


@pytest.mark.parametrize("name", TIMEFRAMES)
@pytest.mark.parametrize("text", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.usefixtures("zone")
def test_a_history_has_the_same_number_of_bars_at_every_moment(name: str, text: str) -> None:
    grid, now_ms = TIMEFRAMES[name], ms(at(text))
    wish = SeriesWish("BTC-USDT", name, 10 * 7 * DAY_MS, None, None, None, ("blofin",), spot_proxy=False)
    start_ms, end_ms = wish.window_start_ms(now_ms), grid.last_closed_end(now_ms)
    assert grid.bars(start_ms, end_ms) == 10 * 7 * DAY_MS // grid.step_ms


@pytest.mark.parametrize("name", TIMEFRAMES)
@pytest.mark.parametrize("text", MOMENTS.values(), ids=MOMENTS)
def test_a_bar_is_not_closed_before_it_has_settled(name: str, text: str) -> None:
    grid, open_ms = TIMEFRAMES[name], ms(opens(name, at(text)))
    close_ms = open_ms + grid.step_ms
    assert grid.last_closed_end(close_ms + 4_999, settle_ms=5_000) == open_ms
    assert grid.last_closed_end(close_ms + 5_000, settle_ms=5_000) == close_ms

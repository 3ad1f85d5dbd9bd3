"""Which bars a market's hours leave out."""

from __future__ import annotations

from datetime import datetime, timezone

from backfill.domain.intervals import Interval
from backfill.domain.market_hours import MarketSession, closed_bars, forex_weeks
from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp() * 1000)


MONDAY_MS = ms("2026-03-09")
NEW_YORK = MarketSession(ms("2026-03-09T13:30"), ms("2026-03-09T20:00"), MONDAY_MS)
WEEK = Interval(MONDAY_MS, MONDAY_MS + 7 * DAY_MS)


def open_times(closed: list[Interval], name: str, span: Interval) -> list[int]:
    """The open times of the bars that are left."""
    return [
        open_ms
        for open_ms in range(span.start, span.end, TIMEFRAMES[name].step_ms)
        if not any(start <= open_ms < end for start, end in closed)
    ]


def test_minutes_are_those_that_open_inside_the_session() -> None:
    left = open_times(closed_bars([NEW_YORK], WEEK, TIMEFRAMES["1m"]), "1m", WEEK)
    assert left == list(range(NEW_YORK.open_ms, NEW_YORK.close_ms, MINUTE_MS))


def test_an_hour_in_which_the_market_opens_exists() -> None:
    left = open_times(closed_bars([NEW_YORK], WEEK, TIMEFRAMES["1h"]), "1h", WEEK)
    assert left == [MONDAY_MS + hour * HOUR_MS for hour in range(13, 20)]


def test_days_and_weeks_go_by_the_sessions_date() -> None:
    # Sydney's Tuesday opens on Monday, 23:00 UTC.
    sydney = MarketSession(ms("2026-03-09T23:00"), ms("2026-03-10T05:00"), MONDAY_MS + DAY_MS)
    assert open_times(closed_bars([sydney], WEEK, TIMEFRAMES["1d"]), "1d", WEEK) == [MONDAY_MS + DAY_MS]
    assert open_times(closed_bars([sydney], WEEK, TIMEFRAMES["1w"]), "1w", WEEK) == [MONDAY_MS]
    assert len(open_times(closed_bars([sydney], WEEK, TIMEFRAMES["1h"]), "1h", WEEK)) == 6


def test_a_lunch_break_is_closed() -> None:
    tokyo = [
        MarketSession(ms("2026-03-09T00:00"), ms("2026-03-09T02:30"), MONDAY_MS),
        MarketSession(ms("2026-03-09T03:30"), ms("2026-03-09T06:30"), MONDAY_MS),
    ]
    closed = closed_bars(tokyo, WEEK, TIMEFRAMES["30m"])
    assert closed[0] == Interval(ms("2026-03-09T02:30"), ms("2026-03-09T03:30"))
    assert open_times(closed_bars(tokyo, WEEK, TIMEFRAMES["1d"]), "1d", WEEK) == [MONDAY_MS]


def test_what_is_not_known_counts_as_open() -> None:
    assert closed_bars([], Interval(MONDAY_MS + 1, MONDAY_MS + 2 * HOUR_MS - 1), TIMEFRAMES["1h"]) == []


def test_the_currency_week_follows_new_yorks_clock() -> None:
    span = Interval(ms("2026-03-02"), ms("2026-03-16"))
    assert [(week.open_ms, week.close_ms) for week in forex_weeks(span)] == [
        (ms("2026-02-22T22:00"), ms("2026-02-27T22:00")),
        (ms("2026-03-01T22:00"), ms("2026-03-06T22:00")),
        (ms("2026-03-08T21:00"), ms("2026-03-13T21:00")),
        (ms("2026-03-15T21:00"), ms("2026-03-20T21:00")),
    ]


def test_the_last_hours_of_sunday_are_a_day_of_the_currency_market() -> None:
    span = Interval(ms("2026-03-02"), ms("2026-03-16"))
    closed = closed_bars(forex_weeks(span), span, TIMEFRAMES["1d"])
    assert closed == [
        Interval(ms("2026-03-07"), ms("2026-03-08")),
        Interval(ms("2026-03-14"), ms("2026-03-15")),
    ]

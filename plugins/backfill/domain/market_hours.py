"""Markets that close: which bars cannot exist.

A bar is expected when it overlaps a session; a bar of a day or longer when it has a session's date, so that a Tokyo
Monday is one bar, whatever its hours in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from backfill.domain.intervals import Interval, difference, union
from backfill.domain.timeframes import DAY_MS, Timeframe, utc

# Never closed: no calendar is kept.
ALWAYS_OPEN = "24/7"
FOREX = "forex"
# The interbank week: Sunday 17:00 to Friday 17:00 in New York.
FOREX_CLOCK, FOREX_TURN, SUNDAY = ZoneInfo("America/New_York"), time(17), 6
FOREX_OPEN_DAYS = 5


class MarketSession(NamedTuple):
    """One opening of a market, half-open, in ms. ``date_ms``: midnight UTC of its date; None: it spans several."""

    open_ms: int
    close_ms: int
    date_ms: int | None = None


def closed_bars(sessions: Iterable[MarketSession], span: Interval, timeframe: Timeframe) -> list[Interval]:
    """The whole bars of ``span`` that no session touches."""
    asked = Interval(timeframe.ceil(span.start), timeframe.floor(span.end))
    return difference([asked], union(_bars_of(session, timeframe) for session in sessions))


def _bars_of(session: MarketSession, timeframe: Timeframe) -> Interval:
    first_ms, past_ms = session.open_ms, session.close_ms
    if timeframe.step_ms >= DAY_MS and session.date_ms is not None:
        first_ms, past_ms = session.date_ms, session.date_ms + DAY_MS
    return Interval(timeframe.floor(first_ms), timeframe.ceil(past_ms))


def forex_weeks(span: Interval) -> Iterator[MarketSession]:
    """The weeks of the currency market that touch ``span``; New York's clock moves them in UTC."""
    day = (utc(span.start) - timedelta(days=8)).date()
    day += timedelta(days=(SUNDAY - day.weekday()) % 7)
    while (open_ms := _new_york_ms(datetime.combine(day, FOREX_TURN))) < span.end:
        friday = day + timedelta(days=FOREX_OPEN_DAYS)
        yield MarketSession(open_ms, _new_york_ms(datetime.combine(friday, FOREX_TURN)))
        day += timedelta(days=7)


def _new_york_ms(local: datetime) -> int:
    return round(local.replace(tzinfo=FOREX_CLOCK).timestamp() * 1000)

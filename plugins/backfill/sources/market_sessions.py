"""When a market is open, by its calendar's name: the currency week, or an exchange's sessions."""

from __future__ import annotations

import warnings
from datetime import date, datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from backfill.domain.intervals import Interval
from backfill.domain.market_hours import FOREX, MarketSession, forex_weeks
from backfill.domain.timeframes import DAY_MS, utc
from backfill.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

LIBRARY = "exchange_calendars"
HOURS = ["open", "break_start", "break_end", "close"]


class MarketSessions(NamedTuple):
    """What a calendar says of ``known``, which may be less than the span asked for."""

    sessions: list[MarketSession]
    known: Interval


def rules_of(calendar: str) -> str:
    """What decides a calendar's hours, with its version: another one may move them."""
    return FOREX if calendar == FOREX else f"{LIBRARY} {version(LIBRARY)}"


def sessions_of(calendar: str, span: Interval) -> MarketSessions:
    """The sessions in ``span``; raises :class:`ConfigurationError` for an unknown calendar.

    Loads pandas and ``exchange_calendars``, about a second.
    """
    if calendar == FOREX:
        return MarketSessions(list(forex_weeks(span)), span)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about the library's own use of pandas
        return _from_library(calendar, span)


def _from_library(calendar: str, span: Interval) -> MarketSessions:
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        kind = type(exchange_calendars.get_calendar(calendar))
    except InvalidCalendarName:
        names = ", ".join(exchange_calendars.get_calendar_names(include_aliases=False))
        raise ConfigurationError(f"there is no calendar {calendar!r}; known are {FOREX}, {names}") from None
    first, last = utc(span.start).date(), utc(span.end).date()
    oldest, newest = kind.bound_min(), kind.bound_max()
    first = first if oldest is None else max(first, oldest.date())
    last = last if newest is None else min(last, newest.date())
    hours = exchange_calendars.get_calendar(calendar, start=first.isoformat(), end=last.isoformat()).schedule
    start_ms = max(span.start, _midnight_ms(first))
    return MarketSessions(
        _sessions_in(hours), Interval(start_ms, max(start_ms, min(span.end, _midnight_ms(last) + DAY_MS)))
    )


def _sessions_in(hours: pd.DataFrame) -> list[MarketSession]:
    """The rows of a schedule; a lunch break makes two of one date."""
    sessions = []
    for label, opens, pauses, resumes, closes in hours[HOURS].itertuples():
        date_ms = _ms(label)
        if pauses == pauses and resumes == resumes:  # NaT is not itself
            sessions += [
                MarketSession(_ms(opens), _ms(pauses), date_ms),
                MarketSession(_ms(resumes), _ms(closes), date_ms),
            ]
        else:
            sessions.append(MarketSession(_ms(opens), _ms(closes), date_ms))
    return sessions


def _midnight_ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp() * 1000)


def _ms(moment: Any) -> int:
    """Naive pandas times are UTC."""
    return int(moment.value) // 1_000_000

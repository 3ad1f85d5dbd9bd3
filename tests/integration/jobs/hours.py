"""Markets that close, and what their bars are, worked out without any calendar of ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from backfill.domain.timeframes import TIMEFRAMES
from backfill.paper.bars import grouped
from backfill.paper.given_market import GivenMarket
from backfill.paper.market import CANDLE, Candles
from integration.helpers import DAY_MS, MINUTE_MS, ms

NEW_YORK, LONDON = ZoneInfo("America/New_York"), ZoneInfo("Europe/London")
HOLIDAYS = {date(2025, 11, 27), date(2025, 12, 25), date(2026, 1, 1), date(2026, 1, 19), date(2026, 2, 16)}
HALF_DAYS = {date(2025, 11, 28), date(2025, 12, 24)}
UNIVERSE = """
instruments: [BTC-USDT, AAPL, EUR_USD]
sources: [blofin]
classes:
  shares: {{kind: stocks, instruments: [AAPL], sources: [blofin], calendar: XNYS}}
  pairs: {{kind: forex, instruments: [EUR_USD], sources: [blofin]}}
timeframes:
  1m: {{since: {since}, until: {until}}}
  15m: {{since: {since}, until: {until}}}
  1h: {{since: {since}, until: {until}}}
  1d: {{since: {since}, until: {until}}}
"""


def days(since: str, until: str) -> list[date]:
    first, past = date.fromisoformat(since), date.fromisoformat(until)
    return [first + timedelta(days=n) for n in range((past - first).days)]


def local_ms(zone: ZoneInfo, day: date, hour: int, minute: int = 0) -> int:
    return round(datetime.combine(day, time(hour, minute), tzinfo=zone).timestamp() * 1000)


def new_york_ms(day: date, hour: int, minute: int = 0) -> int:
    return local_ms(NEW_YORK, day, hour, minute)


def traded_minutes(symbol: str, since: str, until: str) -> set[int]:
    """The open times of the minutes in which something can trade."""
    start_ms, end_ms = ms(since), ms(until)
    every = range(start_ms, end_ms, MINUTE_MS)
    if symbol == "AAPL":
        return {
            open_ms
            for day in days(since, until)
            if day.weekday() < 5 and day not in HOLIDAYS
            for open_ms in range(new_york_ms(day, 9, 30), new_york_ms(day, 13 if day in HALF_DAYS else 16), MINUTE_MS)
        }
    if symbol == "VOD":
        return {
            open_ms
            for day in days(since, until)
            if day.weekday() < 5
            for open_ms in range(local_ms(LONDON, day, 8), local_ms(LONDON, day, 16, 30), MINUTE_MS)
        }
    if symbol == "EUR_USD":
        sundays = [day for day in days("2025-09-07", "2026-04-01") if day.weekday() == 6]
        weeks = [(new_york_ms(day, 17), new_york_ms(day + timedelta(days=5), 17)) for day in sundays]
        return {open_ms for first, past in weeks for open_ms in range(first, past, MINUTE_MS)} & set(every)
    return set(every)


def opens_of(symbol: str, timeframe: str, since: str, until: str) -> list[int]:
    """The bars that exist: those in which a minute trades; a stock's day is its session's date, which is UTC's too."""
    bars = TIMEFRAMES[timeframe]
    return sorted({bars.floor(open_ms) for open_ms in traded_minutes(symbol, since, until)})


def given(opens_ms: Sequence[int]) -> Candles:
    bars = np.zeros(len(opens_ms), dtype=CANDLE)
    bars["open_ms"] = opens_ms
    for name, value in (("open", 100.0), ("high", 101.0), ("low", 99.0), ("close", 100.0), ("base_volume", 2.5)):
        bars[name] = value
    bars["quote_volume"] = 250.0
    return bars


def market_of(since: str, until: str) -> GivenMarket:
    return GivenMarket(
        {
            (symbol, name): given(opens_of(symbol, name, since, until))
            for symbol in ("BTC-USDT", "AAPL", "EUR_USD")
            for name in ("1m", "15m", "1h", "1d")
        }
    )


def traded_market(since: str, until: str) -> GivenMarket:
    """AAPL on a walk of its minutes, whose longer bars are made of them."""
    minutes = given(opens_of("AAPL", "1m", since, until))
    random = np.random.default_rng(17)
    closes = np.round(200 * np.exp(np.cumsum(random.normal(0, 4e-4, len(minutes)))), 2)
    minutes["close"], minutes["open"] = closes, np.concatenate([[200.0], closes[:-1]])
    spread = np.round(random.exponential(0.05, (2, len(minutes))), 2)
    minutes["high"] = np.round(np.maximum(minutes["open"], closes) + spread[0], 2)
    minutes["low"] = np.round(np.minimum(minutes["open"], closes) - spread[1], 2)
    minutes["base_volume"] = random.integers(100, 9000, len(minutes))
    minutes["quote_volume"] = np.round(minutes["base_volume"] * closes, 2)
    instrument = GivenMarket({("AAPL", "1m"): minutes}).instrument("AAPL")
    names = [name for name in TIMEFRAMES if name != "1m"]
    longer = {("AAPL", name): grouped(minutes, TIMEFRAMES[name], instrument) for name in names}
    return GivenMarket({("AAPL", "1m"): minutes, **longer})


def fewest_pages(opens_ms: Iterable[int], step_ms: int, rows_per_page: int) -> int:
    """How many pages of so many bars of the grid the bars need at least, each page's end put on the newest one left."""
    pages, reach_ms = 0, None
    for open_ms in sorted(opens_ms, reverse=True):
        if reach_ms is None or open_ms < reach_ms:
            pages, reach_ms = pages + 1, open_ms + step_ms - rows_per_page * step_ms
    return pages


def is_weekend(day_ms: int) -> bool:
    return (day_ms // DAY_MS + 3) % 7 > 4

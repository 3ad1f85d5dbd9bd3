"""Alpha Vantage's API: days and weeks of stocks.

After www.alphavantage.co/documentation and /premium; errors as quoted in public issues. Every answer has status 200.
The newest 100 days come without payment; all of them only to a ``premium`` key. 25 requests a day, and one a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from backfill.domain.timeframes import DAY_MS, TIMEFRAMES, Timeframe
from backfill.errors import UnknownSymbol
from backfill.paper.limits import HouseRules, PaperRefusal, RequestWindow
from backfill.paper.market import PaperInstrument, PaperMarket
from backfill.paper.protocol import (
    FOREVER_MS,
    Answer,
    CandleWire,
    Cells,
    PlainRequests,
    Query,
    decimals_of,
    html_answer,
    json_answer,
)

QUERY = "/query"
COMPACT_ROWS = 100
LATEST_ROW = 10**6
SERIES: dict[str, tuple[str, Timeframe]] = {
    "TIME_SERIES_DAILY": ("Time Series (Daily)", TIMEFRAMES["1d"]),
    "TIME_SERIES_WEEKLY": ("Weekly Time Series", TIMEFRAMES["1w"]),
}
COLUMNS = ("1. open", "2. high", "3. low", "4. close", "5. volume")
NO_KEY = "the parameter apikey is invalid or missing. Please claim your free API key on the support page."
INVALID = (
    "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for {}."
)
A_DAY = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly. You may "
    "subscribe to any of the premium plans to lift the free key rate limit (25 requests per day) and instantly unlock "
    "all premium endpoints"
)
PREMIUM = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for the {} endpoint."
)

HOUSE_RULES = HouseRules((RequestWindow(25, span_ms=DAY_MS), RequestWindow(1, span_ms=1000)))


def _series(body: Any) -> tuple[str, Timeframe]:
    return next(series for series in SERIES.values() if series[0] in body)


def _flat(body: Any) -> list[Cells]:
    """Days and weeks as rows: time in ms, o, h, l, c, volume; a week by its last day."""
    return [[_ms(date), *row.values()] for date, row in body[_series(body)[0]].items()]


def _put(body: Any, rows: Sequence[Cells]) -> None:
    body[_series(body)[0]] = {_date(ms): dict(zip(COLUMNS, cells, strict=True)) for ms, *cells in rows}


WIRE = CandleWire(
    (QUERY,),
    lambda query: SERIES[query["function"]][1],
    _flat,
    put_rows=_put,
    has_cursor=False,
)


class AlphaVantageProtocol(PlainRequests):
    """See :class:`backfill.paper.protocol.ExchangeProtocol`. Served to those with ``key``."""

    house_rules = HOUSE_RULES
    wire = WIRE

    def __init__(self, key: str = "paper-key", *, premium: bool = False) -> None:
        self.key = key
        self.premium = premium

    def answer(self, market: PaperMarket, method: str, path: str, query: Query, now_ms: int) -> Answer:
        """Answer days and weeks, newest first, the running one included."""
        if method != "GET" or path != QUERY:
            return html_answer(404, "404 Not Found")
        if query.get("apikey") != self.key:
            return json_answer({"Error Message": NO_KEY})
        function = query.get("function", "")
        if function not in SERIES:
            return json_answer({"Error Message": "This API function does not exist."})
        if query.get("outputsize") == "full" and function == "TIME_SERIES_DAILY" and not self.premium:
            return json_answer({"Information": PREMIUM.format(function)})
        try:
            return self._rows(market, market.instrument(query.get("symbol", "")), query, now_ms)
        except UnknownSymbol:
            return json_answer({"Error Message": INVALID.format(function)})

    def _rows(self, market: PaperMarket, instrument: PaperInstrument, query: Query, now_ms: int) -> Answer:
        name, bar = SERIES[query["function"]]
        is_compact = bar.step_ms == DAY_MS and query.get("outputsize") != "full"
        rows = COMPACT_ROWS if is_compact else LATEST_ROW
        candles = market.newest(instrument.symbol, bar.name, 0, FOREVER_MS, rows, now_ms)
        decimals = decimals_of(instrument.tick_size)
        body: dict[str, Any] = {
            "Meta Data": {"1. Information": name, "2. Symbol": instrument.symbol, "5. Time Zone": "US/Eastern"},
            name: {},
        }
        today_ms, last_day_ms = now_ms - now_ms % DAY_MS, bar.step_ms - DAY_MS
        told = [
            [
                open_ms + last_day_ms if open_ms % DAY_MS else min(open_ms + last_day_ms, today_ms),
                *(f"{price:.{max(4, decimals)}f}" for price in prices),
                f"{volume:.0f}",
            ]
            for open_ms, *prices, volume, _ in reversed(candles.tolist())
        ]
        _put(body, told)
        return json_answer(body, symbol=instrument.symbol)

    def refusal(self, refused: PaperRefusal, now_ms: int) -> Answer:
        """A used-up quota is told with status 200; other refusals are HTML."""
        if refused.status == 429:
            return json_answer({"Information": A_DAY})
        return html_answer(refused.status, f"{refused.status} Forbidden")


def _ms(date: str) -> int:
    return round(datetime.fromisoformat(f"{date}T00:00:00+00:00").timestamp()) * 1000


def _date(ms: int) -> str:
    """The date; with the time where a fault has moved a row off midnight."""
    at = datetime.fromtimestamp(ms / 1000, timezone.utc)
    return f"{at:%Y-%m-%d}" if ms % DAY_MS == 0 else f"{at:%Y-%m-%d %H:%M:%S}"

"""Alpha Vantage: days and weeks of stocks, as traded (not adjusted for splits).

After www.alphavantage.co/documentation (TIME_SERIES_DAILY, TIME_SERIES_WEEKLY) and /premium (limits). One answer holds
the newest 100 days, or with ``outputsize=full`` all, for which a key must be paid; weeks are all there. Errors come
with status 200: ``Error Message``, ``Note`` or ``Information`` instead of data; their texts are second-hand
(beancount/beanprice #124 and others).

The connection ``alphavantage_default``: the password is the key. Of intraday bars, which must be paid for, nothing is
asked. A day is the exchange's date, put at midnight UTC; a week is dated by its last trading day.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar

from backfill.domain.asset_names import asset_of, named_market
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.timeframes import DAY_MS, Timeframe
from backfill.domain.venues import DAY_S, StatusRules, Venue
from backfill.errors import BadPayload, ExchangeError, RateLimited, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient
from backfill.exchanges.source_contract import Bar, BarsAnswer, RegisteredSource, SourceAccess

SERIES = {
    "1d": ("TIME_SERIES_DAILY", "Time Series (Daily)"),
    "1w": ("TIME_SERIES_WEEKLY", "Weekly Time Series"),
}
COMPACT_BARS = 100
COLUMNS = ("1. open", "2. high", "3. low", "4. close", "5. volume")
# When the day's quota begins again is not documented.
QUOTA_PAUSE_S = 3600
_PREMIUM = re.compile(r"\bis a premium (endpoint|feature)\b")


def stock(symbol: str) -> Market | None:
    """The stock of our name: ``AAPL``."""
    asset = asset_of(symbol)
    return named_market(asset, symbol) if asset is not None and asset.kind == "stock" else None


VENUE = Venue(
    source="alphavantage",
    client="registered",
    market_named=stock,
    needs_key=True,
    rows_per_page=COMPACT_BARS,
    reach_bars=110,  # a margin of 10 is left
    timeframes=tuple(SERIES),
    bounded=True,
    fills_no_trade=False,
    volume="base",  # shares
    # 25 a day (docs, /premium), and no more than one a second (second-hand: its own "Information").
    limits_per_period_s=((25, DAY_S),),
    spacing_ms=1100,
    rules=StatusRules(forbidden="ban", ban_s=3600, rate_limit_s=60),
)


class AlphaVantageClient(HttpClient):
    """See :class:`backfill.exchanges.source_contract.CandleClient`."""

    venue: ClassVar[Venue] = VENUE
    public_url: ClassVar[str] = "https://www.alphavantage.co"

    def __init__(self, access: SourceAccess, clock: Callable[[], float] = time.time) -> None:
        super().__init__(access)
        self._clock = clock

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """One request, whose answer begins long before the window."""
        function, name = SERIES[timeframe.name]
        params = {"function": function, "symbol": venue_symbol, "datatype": "json", "apikey": str(self._access.key)}
        is_compact = timeframe.name == "1d" and window.end > self._newest_days_ms()
        if timeframe.name == "1d":
            params["outputsize"] = "compact" if is_compact else "full"
        try:
            answer = self.get("/query", params)
        except _InvalidCall as error:  # of all that is sent, only the symbol is the user's
            raise SymbolNotListed("alphavantage", venue_symbol, str(error)) from None
        series = answer.document.get(name) if isinstance(answer.document, dict) else None
        if not isinstance(series, dict):
            raise BadPayload("alphavantage", f"{venue_symbol}: no {name!r}")
        told = answer.document.get("Meta Data")
        if not isinstance(told, dict) or told.get("2. Symbol") != venue_symbol:
            raise BadPayload("alphavantage", f"{venue_symbol}: another symbol's data")
        bars = [_bar(date, row, timeframe) for date, row in series.items()]
        inside = [bar for bar in bars if not isinstance(bar.open_ms, int) or window.start <= bar.open_ms < window.end]
        covers = None
        if is_compact and len(bars) >= COMPACT_BARS:
            oldest_ms = min((bar.open_ms for bar in bars if isinstance(bar.open_ms, int)), default=window.end)
            covers = Interval(min(max(window.start, oldest_ms), window.end), window.end)
        return BarsAnswer(inside, answer.server_ms, answer.latency_ms, covers)

    def _newest_days_ms(self) -> int:
        """The newest 100 days reach at least so far back."""
        now_ms = round(1000 * self._clock())
        return now_ms - now_ms % DAY_MS - (COMPACT_BARS - 1) * DAY_MS

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """An answer without data says why in one of three fields."""
        if status != 200 or not isinstance(document, dict):
            return None
        if isinstance(message := document.get("Error Message"), str):
            if "apikey" in message:
                return RequestRefused("alphavantage", f"the key is refused: {self.hidden(message):.120}")
            return _InvalidCall("alphavantage", self.hidden(message)[:120])
        message = document.get("Information", document.get("Note"))
        if message is None:
            return None
        text = self.hidden(str(message))
        if _PREMIUM.search(text):
            return RequestRefused("alphavantage", f"this needs a paid key: {text:.260}")
        return RateLimited("alphavantage", f"its quota is used up: {text:.260}", _wait_s(text))


class _InvalidCall(RequestRefused):
    """It calls our request wrong."""


def _wait_s(text: str) -> float:
    if "per day" in text:
        return QUOTA_PAUSE_S
    return 2.0 if "per second" in text else 60.0


def _bar(date: str, row: Any, timeframe: Timeframe) -> Bar:
    cells: Mapping[str, Any] = row if isinstance(row, dict) else {}
    o, h, low, c, volume = (cells.get(column) for column in COLUMNS)
    return Bar(_open_ms(date, timeframe), o, h, low, c, volume)


def _open_ms(date: str, timeframe: Timeframe) -> int | str:
    """Midnight UTC of a date, or the Monday before it; anything else as it came, for the rules to refuse."""
    try:
        at = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    except ValueError:
        return date
    return timeframe.floor(round(at.timestamp()) * 1000)


SOURCE = RegisteredSource(VENUE, AlphaVantageClient)

"""Yahoo Finance: bars of American stocks, from the chart endpoint that yfinance reads.

Yahoo documents none of it: facts are yfinance's (github.com/ranaroussi/yfinance: README, const.py, issues #356, #919,
#1389). The endpoint is asked directly, because yfinance has Yahoo's hosts in its code, opens a session of its own
(curl_cffi, cookies) and makes requests that no budget counts: it could be neither tested here nor held to a limit.
Yahoo refuses some programs altogether with 429 (#2422): then the source is paused, and the next one fills.

Minutes reach 7 days back, other bars below a day 60 days. Hours begin at half past, off our grid. A day is the
exchange's date, put at midnight UTC. Prices are adjusted for splits (not for dividends): a split changes the whole
series.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from backfill.domain.asset_names import asset_of, named_market
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.timeframes import DAY_MS, Timeframe
from backfill.domain.venues import DAY_S, StatusRules, Venue
from backfill.errors import BadPayload, ExchangeError, RateLimited, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient
from backfill.exchanges.source_contract import Bar, BarsAnswer, RegisteredSource, SourceAccess

INTERVALS = {"1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1d": "1d"}
REACH_DAYS = {"1m": 7, "5m": 60, "15m": 60, "30m": 60}
COLUMNS = ("open", "high", "low", "close", "volume")
CHART = "/v8/finance/chart/"


def american_stock(symbol: str) -> Market | None:
    """``AAPL``; ``BRK.B`` is Yahoo's BRK-B. Other suffixes are exchanges whose currency is another."""
    asset = asset_of(symbol)
    if asset is None or asset.kind != "stock" or re.fullmatch(r"[^.]+(\.[ABC])?", symbol) is None:
        return None
    return named_market(asset, symbol.replace(".", "-"))


VENUE = Venue(
    source="yfinance",
    client="registered",
    market_named=american_stock,
    rows_per_page=5000,
    fewer_rows={"15m": 5000, "30m": 2500},
    reach_days=REACH_DAYS,
    timeframes=tuple(INTERVALS),
    bounded=True,
    fills_no_trade=False,
    volume="base",  # shares
    # No limit is published; second-hand: blocked for hours by a few hundred requests in a short time.
    limits_per_period_s=((30, 60), (1500, DAY_S)),
    spacing_ms=1000,
    rules=StatusRules(forbidden="ban", ban_s=3600, rate_limit_s=900),
)


class YahooClient(HttpClient):
    """See :class:`backfill.exchanges.source_contract.CandleClient`."""

    venue: ClassVar[Venue] = VENUE
    public_url: ClassVar[str] = "https://query1.finance.yahoo.com"

    def __init__(self, access: SourceAccess, clock: Callable[[], float] = time.time) -> None:
        super().__init__(access)
        self._clock = clock

    def headers(self) -> Mapping[str, str]:
        """The usual agent of requests is refused (ValueRaider/yfinance-cache #90)."""
        return {"User-Agent": "Mozilla/5.0 (compatible; backfill)"}

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """One request for the part of the window within reach; more would be refused as a whole."""
        oldest_ms = VENUE.oldest_open_ms(timeframe.step_ms, round(1000 * self._clock()))
        covers = window if oldest_ms is None else Interval(min(max(window.start, oldest_ms), window.end), window.end)
        if covers.start == covers.end:
            return BarsAnswer([], self.server_ms, 0.0, covers)
        margin_ms = DAY_MS if timeframe.step_ms == DAY_MS else 0  # a day begins in another zone
        params = {
            "interval": INTERVALS[timeframe.name],
            "period1": str((covers.start - margin_ms) // 1000),
            "period2": str((covers.end + margin_ms) // 1000),
            "includePrePost": "false",
        }
        answer = self.get(CHART + venue_symbol, params)
        bars = _bars(_chart(answer.document, venue_symbol, timeframe), timeframe)
        if margin_ms:
            bars = [bar for bar in bars if not isinstance(bar.open_ms, int) or covers.start <= bar.open_ms < covers.end]
        return BarsAnswer(bars, answer.server_ms, answer.latency_ms, covers)

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """The error of ``chart`` or ``finance``."""
        outer = document if isinstance(document, dict) else {}
        parts = [part for part in (outer.get("chart"), outer.get("finance")) if isinstance(part, dict)]
        error = next((part["error"] for part in parts if part.get("error") is not None), None)
        if error is None or status == 429 or status >= 500:
            return None
        text = f"{error!r:.160}"
        if "Too Many Requests" in text:
            return RateLimited("yfinance", "too many requests", VENUE.rules.rate_limit_s)
        if status == 404 or "Not Found" in text:
            return SymbolNotListed("yfinance", where.removeprefix(CHART))
        return RequestRefused("yfinance", f"{where}: {text}")


class _Chart(NamedTuple):
    """The columns of one answer."""

    times_s: list[Any]
    columns: list[list[Any]]
    zone: ZoneInfo
    quoted_s: Any  # when the newest quote was made


def _chart(document: Any, venue_symbol: str, timeframe: Timeframe) -> _Chart:
    try:
        (result,) = document["chart"]["result"]
        meta, zone = result["meta"], ZoneInfo(result["meta"]["exchangeTimezoneName"])
        told = meta["symbol"], meta["dataGranularity"]
        times_s = result.get("timestamp", [])  # missing where there are no bars
        quote = result["indicators"]["quote"][0] if times_s else {}
        columns = [quote[name] for name in COLUMNS] if times_s else [[] for _ in COLUMNS]
        widths = {len(column) for column in (times_s, *columns)}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZoneInfoNotFoundError) as error:
        raise BadPayload("yfinance", f"{venue_symbol}: no chart ({error!r:.80})") from error
    if told != (venue_symbol, INTERVALS[timeframe.name]):
        raise BadPayload("yfinance", f"bars of {told!r:.60}, asked for {venue_symbol} {timeframe.name}")
    if len(widths) != 1:
        raise BadPayload("yfinance", f"{venue_symbol}: columns of different lengths")
    return _Chart(times_s, columns, zone, meta.get("regularMarketTime"))


def _bars(chart: _Chart, timeframe: Timeframe) -> list[Bar]:
    """Rows without any price are minutes without trades; the newest quote may stand last, and is no bar."""
    rows = list(zip(chart.times_s, *chart.columns, strict=True))
    if rows and rows[-1][0] == chart.quoted_s and timeframe.step_ms < DAY_MS and chart.quoted_s % 60:
        rows.pop()
    return [Bar(_open_ms(at_s, timeframe, chart.zone), *row) for at_s, *row in rows if row != [None] * len(COLUMNS)]


def _open_ms(at_s: Any, timeframe: Timeframe, zone: ZoneInfo) -> Any:
    """Seconds as ms, a day at midnight UTC of its date; anything else as it came, for the rules to refuse."""
    if not isinstance(at_s, int) or timeframe.step_ms < DAY_MS:
        return at_s * 1000 if isinstance(at_s, int) else at_s
    try:
        there = datetime.fromtimestamp(at_s, zone)
    except (ValueError, OverflowError, OSError):
        return at_s
    return round(datetime(there.year, there.month, there.day, tzinfo=timezone.utc).timestamp()) * 1000


SOURCE = RegisteredSource(VENUE, YahooClient)

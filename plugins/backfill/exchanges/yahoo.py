"""Yahoo's charts of stocks and currency pairs, as the registered source ``yfinance``.

There is no documentation. After the package yfinance (https://ranaroussi.github.io/yfinance/, scrapers/history.py,
same address) and answers that others recorded.

yfinance itself is not used: its hosts are constants, it requests cookies and crumbs outside the rate budget, and a
failure is an empty table and a log line, like a market without trades.

- Reach: minutes of 7 days, other bars below a day of 60 days.
- Hours of stocks open at half past, days of pairs at London's midnight: neither is on our grid. A day of a stock is
  that of its date, as with Alpha Vantage.
- Prices are always adjusted for splits, never for dividends (``adjclose`` is; the package's ``auto_adjust`` scales by
  it). Bars without trades are nulls. The last row may be the latest trade, at its own time. Pairs have volume zero.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from backfill.domain.asset_names import asset_of, named_market
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.splits import ADJUSTED
from backfill.domain.timeframes import Timeframe
from backfill.domain.venues import StatusRules, Venue
from backfill.errors import BadPayload, ExchangeError, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient
from backfill.exchanges.source_contract import Bar, BarsAnswer, RegisteredSource, SourceAccess, of_window

PAIR_SUFFIX = "=X"
COLUMNS = ("open", "high", "low", "close", "volume")
DAY = "1d"


class _NothingThere(RequestRefused):
    """Yahoo's words for a range without bars."""


def _market_named(symbol: str) -> Market | None:
    asset = asset_of(symbol)
    if asset is None or asset.kind == "coin":
        return None
    is_pair = asset.kind == "pair"
    return named_market(asset, f"{asset.base}{asset.quote}{PAIR_SUFFIX}" if is_pair else symbol.replace(".", "-"))


YAHOO = Venue(
    source="yfinance",
    client="registered",
    market_named=_market_named,
    spot=False,
    split_prices=(ADJUSTED,),
    rows_per_page=7 * 1440,
    fewer_rows={"15m": 60 * 96, "30m": 60 * 48},
    reach_days={"1m": 7, "5m": 60, "15m": 60, "30m": 60},
    timeframes=("1m", "5m", "15m", "30m", DAY),
    bounded=True,
    fills_no_trade=False,
    volume="base",
    limits_per_period_s=((900, 3600),),  # second-hand: about 1000 an hour (legout/yfin)
    spacing_ms=2000,
    rules=StatusRules(forbidden="ban", ban_s=3600, rate_limit_s=300),
)


class YahooClient(HttpClient):
    """GET /v8/finance/chart/..."""

    venue: ClassVar[Venue] = YAHOO
    public_url: ClassVar[str] = "https://query1.finance.yahoo.com"

    def __init__(self, access: SourceAccess, clock: Callable[[], float] = time.time) -> None:
        super().__init__(access)
        self._clock = clock

    def headers(self) -> dict[str, str]:
        """Yahoo refuses the requests library's name."""
        return {"User-Agent": "Mozilla/5.0 (compatible; candle-keeper)"}

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """The bounds are not documented: rows outside are left out.

        A range that begins beyond Yahoo's reach is refused whole, so only the rest is requested and covered.
        """
        is_pair = venue_symbol.endswith(PAIR_SUFFIX)
        if is_pair and timeframe.name == DAY:
            raise RequestRefused(YAHOO.source, f"{venue_symbol}: days of pairs open at London's midnight, off our grid")
        covers = self._within_reach(window, timeframe)
        params = {
            "period1": str(covers.start // 1000),
            "period2": str(window.end // 1000),
            "interval": timeframe.name,
            "includePrePost": "false",
        }
        try:
            answer = self.get(f"/v8/finance/chart/{venue_symbol}", params)
        except _NothingThere:
            return BarsAnswer([], self.server_ms, 0.0, covers, has_volume=not is_pair)
        bars = _bars(answer.document["chart"], venue_symbol, timeframe, has_volume=not is_pair)
        asked = of_window(bars, covers, answer.server_ms or round(1000 * self._clock()))
        return BarsAnswer(asked, answer.server_ms, answer.latency_ms, covers, has_volume=not is_pair)

    def _within_reach(self, window: Interval, timeframe: Timeframe) -> Interval:
        """The part of the window that is served now; if none, the window itself, for Yahoo to refuse."""
        oldest_ms = YAHOO.oldest_open_ms(timeframe.step_ms, round(1000 * self._clock()))
        if oldest_ms is None or oldest_ms >= window.end:
            return window
        return Interval(max(window.start, oldest_ms), window.end)

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """Errors are {"chart": {"error": {"code": ..., "description": ...}}}."""
        chart = document.get("chart") if isinstance(document, dict) else None
        if not isinstance(chart, dict):
            return BadPayload(YAHOO.source, f"{where}: no chart") if status == 200 else None
        error = chart.get("error")
        if not isinstance(error, dict) or status in (429, 451) or status >= 500:
            return None
        said = str(error.get("description") or error.get("code"))[:160]
        if said.startswith("Data doesn't exist for startDate"):
            return _NothingThere(YAHOO.source, said)
        if error.get("code") == "Not Found":
            return SymbolNotListed(YAHOO.source, where.rpartition("/")[2], said)
        return RequestRefused(YAHOO.source, f"{where}: {said}")


def _bars(chart: Any, symbol: str, timeframe: Timeframe, *, has_volume: bool) -> list[Bar]:
    try:
        (result,) = chart["result"]
        times = result.get("timestamp") or []
        (quote,) = result["indicators"]["quote"]
        columns = [quote[name] if times else [] for name in COLUMNS]
        rows = list(zip(times, *columns, strict=True))
        opens_ms = [int(one) * 1000 for one in times]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadPayload(YAHOO.source, f"{symbol}: columns that cannot be read: {error!r:.80}") from error
    bars = []
    for open_ms, (_, first, high, low, close, volume) in zip(opens_ms, rows, strict=True):
        if timeframe.name == DAY:
            open_ms = timeframe.floor(open_ms)
        elif open_ms == opens_ms[-1] and not timeframe.is_on_grid(open_ms):
            continue  # the latest trade
        if (first, high, low, close) != (None,) * 4:
            bars.append(Bar(open_ms, first, high, low, close, volume if has_volume else None))
    return bars


SOURCE = RegisteredSource(YAHOO, YahooClient)

"""Alpha Vantage's days of stocks and currency pairs, as a registered source.

Documentation: https://www.alphavantage.co/documentation/ (TIME_SERIES_DAILY, FX_DAILY), and
https://www.alphavantage.co/support/#api-key for 25 requests a day. Intraday bars need a paid plan and are left out.

- Every answer has status 200. ``Information`` and ``Note`` are limits, unless they say that the plan lacks something;
  ``Error Message`` is an unknown symbol or a wrong key.
- A day is named by its date. A New York session lies within the UTC day of its date, which is its bar.
- ``compact`` has the newest 100 days, ``full`` all, but not on the free plan, where each refusal costs a request. So
  ``full`` is used only if the connection's extra has ``{"options": {"outputsize": "full"}}``. One answer serves all
  pages of a fill.
- Days are as traded. For adjusted prices the splits (SPLITS, free) are requested too, once a fill, and earlier prices
  divided: TIME_SERIES_DAILY_ADJUSTED needs a paid plan, and its adjusted close includes dividends.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, ClassVar, NamedTuple

from backfill.domain.asset_names import asset_of, named_market
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.splits import ADJUSTED, RAW, Split
from backfill.domain.timeframes import DAY_MS, Timeframe
from backfill.domain.venues import DAY_S, StatusRules, Venue
from backfill.errors import BadPayload, ExchangeError, RateLimited, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient
from backfill.exchanges.source_contract import (
    UNREADABLE_BAR,
    Bar,
    BarsAnswer,
    RegisteredSource,
    SourceAccess,
    of_window,
    split_on,
)

COMPACT_DAYS = 100
# A market open five days a week has at most a hundred in them.
COMPACT_REACH_DAYS = 140
STOCK_DAYS, PAIR_DAYS = "Time Series (Daily)", "Time Series FX (Daily)"
BURST_S = 2.0
# An ``Information`` that waiting does not cure. A used-up quota offers to "unlock all premium endpoints"
# (beancount/beanprice #124).
NOT_IN_THE_PLAN = re.compile(r"\bis a premium (endpoint|feature)\b")


def _market_named(symbol: str) -> Market | None:
    asset = asset_of(symbol)
    return None if asset is None or asset.kind == "coin" else named_market(asset, symbol)


ALPHAVANTAGE = Venue(
    source="alphavantage",
    client="registered",
    market_named=_market_named,
    needs_key=True,
    spot=False,
    split_prices=(ADJUSTED, RAW),
    rows_per_page=90,
    timeframes=("1d",),
    bounded=True,
    fills_no_trade=False,
    volume="base",
    limits_per_period_s=((25, DAY_S),),
    spacing_ms=1200,  # "1 request per second"
    rules=StatusRules(forbidden="ban", ban_s=3600, rate_limit_s=3600),
)


class _Days(NamedTuple):
    """Days of a symbol, whole since ``from_ms``."""

    bars: list[Bar]
    from_ms: int
    server_ms: int | None
    latency_ms: float


class AlphaVantageClient(HttpClient):
    """GET /query."""

    venue: ClassVar[Venue] = ALPHAVANTAGE
    public_url: ClassVar[str] = "https://www.alphavantage.co"

    def __init__(self, access: SourceAccess, clock: Callable[[], float] = time.time) -> None:
        super().__init__(access)
        self._clock = clock
        self._has_full = access.options.get("outputsize") == "full"
        self._known: dict[str, _Days] = {}
        self._refused: dict[str, RequestRefused] = {}
        self._splits: dict[str, list[Split]] = {}
        self._lock = threading.Lock()

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """The days of the window."""
        asset = asset_of(venue_symbol)
        is_pair = asset is not None and asset.kind == "pair"
        days = self._days_from(venue_symbol, window.start, is_pair=is_pair)
        if days.from_ms >= window.end:
            raise RequestRefused(
                ALPHAVANTAGE.source,
                f"{venue_symbol}: a free plan has the newest {COMPACT_DAYS} days; with another, give the connection's "
                'extra {"options": {"outputsize": "full"}}',
            )
        covers = Interval(max(window.start, days.from_ms), window.end)
        asked = of_window(days.bars, covers, days.server_ms or round(self._clock() * 1000))
        return BarsAnswer(asked, days.server_ms, days.latency_ms, covers, has_volume=not is_pair)

    def serves_from_ms(self, timeframe: Timeframe) -> int | None:
        """Of a free plan."""
        return None if self._has_full else timeframe.floor(round(self._clock() * 1000)) - COMPACT_REACH_DAYS * DAY_MS

    def _days_from(self, symbol: str, from_ms: int, *, is_pair: bool) -> _Days:
        """One request at a time: the others use its answer."""
        with self._lock:
            known = self._known.get(symbol)
            if known is None:
                known = self._known[symbol] = self._days(symbol, "compact", is_pair=is_pair)
            if known.from_ms > from_ms and self._has_full:
                known = self._known[symbol] = self._all_days(symbol, is_pair=is_pair)
            return known

    def _all_days(self, symbol: str, *, is_pair: bool) -> _Days:
        """Asked once: a refusal costs a request of the day's quota."""
        if symbol in self._refused:
            raise self._refused[symbol]
        try:
            return self._days(symbol, "full", is_pair=is_pair)
        except RequestRefused as error:
            self._refused[symbol] = error
            raise

    def _days(self, symbol: str, size: str, *, is_pair: bool) -> _Days:
        named = {"from_symbol": symbol[:3], "to_symbol": symbol[4:]} if is_pair else {"symbol": symbol}
        function = "FX_DAILY" if is_pair else "TIME_SERIES_DAILY"
        key = self._access.key or ""  # it takes no header
        answer = self.get("/query", {"function": function, **named, "outputsize": size, "apikey": key})
        rows = answer.document.get(PAIR_DAYS if is_pair else STOCK_DAYS)
        if not isinstance(rows, dict):
            raise BadPayload(ALPHAVANTAGE.source, f"{symbol}: no days among {sorted(answer.document)!a:.80}")
        bars = [_bar(date, row, has_volume=not is_pair) for date, row in sorted(rows.items())]
        if self._access.splits == ADJUSTED and not is_pair:
            bars = self._adjusted(symbol, bars)
        is_whole = size == "full" or len(bars) < COMPACT_DAYS
        oldest_ms = min((bar.open_ms for bar in bars if bar is not UNREADABLE_BAR), default=0)
        return _Days(bars, 0 if is_whole else oldest_ms, answer.server_ms, answer.latency_ms)

    def splits(self, venue_symbol: str) -> list[Split]:
        """All of a stock, without those only announced."""
        params = {"function": "SPLITS", "symbol": venue_symbol, "apikey": self._access.key or ""}
        answer = self.get("/query", params)
        rows = answer.document.get("data")
        if not isinstance(rows, list):
            raise BadPayload(ALPHAVANTAGE.source, f"{venue_symbol}: no splits among {sorted(answer.document)!a:.80}")
        known = [split_on(ALPHAVANTAGE.source, row, "effective_date", "split_factor") for row in rows]
        now_ms = answer.server_ms or round(self._clock() * 1000)
        return [one for one in known if one.after_ms <= now_ms]

    def _adjusted(self, symbol: str, bars: list[Bar]) -> list[Bar]:
        """Days before a split, at the scale after it. The caller holds ``self._lock``."""
        if symbol not in self._splits:
            self._splits[symbol] = self.splits(symbol)
        return [_divided(bar, math.prod(s.ratio for s in self._splits[symbol] if _is_before(bar, s))) for bar in bars]

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """Errors are a lone sentence under one of three names."""
        source = ALPHAVANTAGE.source
        if not isinstance(document, dict):
            return BadPayload(source, f"{where}: no object") if status == 200 else None
        if error := document.get("Error Message"):
            said = self.hidden(str(error))[:160]
            return RequestRefused(source, said) if "apikey" in said else SymbolNotListed(source, where, said)
        notice = document.get("Information") or document.get("Note")
        if notice is None:
            return None
        said = self.hidden(str(notice))[:260]
        if NOT_IN_THE_PLAN.search(said):
            return RequestRefused(source, f"not in the plan of this key: {said}")
        is_burst = "per second" in said and "per day" not in said
        return RateLimited(source, said, BURST_S if is_burst else ALPHAVANTAGE.rules.rate_limit_s)


def _is_before(bar: Bar, split: Split) -> bool:
    return bar is not UNREADABLE_BAR and bar.open_ms <= split.after_ms


def _divided(bar: Bar, factor: float) -> Bar:
    """An unreadable bar stays as it is: the checks refuse its row."""
    if factor == 1:
        return bar
    try:
        prices = [float(price) / factor for price in bar[1:5]]
        return bar._replace(
            open=prices[0], high=prices[1], low=prices[2], close=prices[3], volume=float(bar.volume) * factor
        )
    except (TypeError, ValueError):
        return bar


def _bar(date: Any, row: Any, *, has_volume: bool) -> Bar:
    try:
        open_ms = round(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp() * 1000)
        first, high, low, close = (row[name] for name in ("1. open", "2. high", "3. low", "4. close"))
        return Bar(open_ms, first, high, low, close, row["5. volume"] if has_volume else None)
    except (KeyError, TypeError, ValueError):
        return UNREADABLE_BAR


SOURCE = RegisteredSource(ALPHAVANTAGE, AlphaVantageClient)

"""Polygon's aggregates (now Massive): stocks, currencies and coins, as a registered source.

Documentation: https://polygon.io/docs/rest/stocks/aggregates/custom-bars (and forex, crypto), /pricing, and
https://polygon.io/blog/aggs-api-updates for how ``limit`` counts base aggregates.

- A bar without trades is missing; an empty answer has no ``results``, as for an unknown ticker.
- Days, and hours beyond one, are of New York's time: not on our grid.
- The volume of currencies counts prices, not units.
- ``adjusted`` is as the universe wants the class. /v3/reference/splits lists splits by the first date at the new scale.
- Delayed plans answer ``DELAYED``: the newest bars are still to come.
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar
from urllib.parse import quote

from backfill.domain.asset_names import asset_of, named_market
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.splits import ADJUSTED, RAW, Split
from backfill.domain.timeframes import DAY_MS, MINUTE_MS, Timeframe
from backfill.domain.venues import StatusRules, Venue
from backfill.errors import BadPayload, ExchangeError, RateLimited, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient
from backfill.exchanges.source_contract import (
    UNREADABLE_BAR,
    Bar,
    BarsAnswer,
    RegisteredSource,
    SourceAccess,
    split_on,
)

PREFIXES = {"stock": "", "pair": "C:", "coin": "X:"}
MOST_BASE_BARS = 50_000
MINUTES_OF = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60}
# A window of full pages takes one; more than these are a loop.
MOST_PAGES = 8
# "End of day" plans have a day's bars after its end.
DELAYED_MS = 2 * DAY_MS


def _market_named(symbol: str) -> Market | None:
    asset = asset_of(symbol)
    if asset is None:
        return None
    ticker = asset.base if asset.kind == "stock" else f"{PREFIXES[asset.kind]}{asset.base}{asset.quote}"
    return named_market(asset, ticker)


POLYGON = Venue(
    source="polygon",
    client="registered",
    market_named=_market_named,
    needs_key=True,
    split_prices=(ADJUSTED, RAW),
    rows_per_page=MOST_BASE_BARS,
    fewer_rows={name: MOST_BASE_BARS // minutes for name, minutes in MINUTES_OF.items()},
    timeframes=tuple(MINUTES_OF),
    bounded=True,
    fills_no_trade=False,
    volume="base",
    limits_per_period_s=((5, 60),),  # docs: the free plan
    spacing_ms=0,
    rules=StatusRules(forbidden="ban", ban_s=300, rate_limit_s=60),
)


class PolygonClient(HttpClient):
    """GET /v2/aggs/ticker/..., and /v3/reference/tickers/... to distinguish an unknown ticker from a quiet one."""

    venue: ClassVar[Venue] = POLYGON
    public_url: ClassVar[str] = "https://api.polygon.io"

    def __init__(self, access: SourceAccess) -> None:
        super().__init__(access)
        self._adjusted = "true" if access.splits == ADJUSTED else "false"
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def headers(self) -> dict[str, str]:
        """The key: an address would be logged."""
        return {"Authorization": f"Bearer {self._access.key}"}

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """Both bounds are inclusive. ``next_url`` is followed on the same host."""
        ticker = quote(venue_symbol, safe=":.")
        url = f"/v2/aggs/ticker/{ticker}/range/{MINUTES_OF[timeframe.name]}/minute/{window.start}/{window.end - 1}"
        params = {"adjusted": self._adjusted, "sort": "asc", "limit": str(MOST_BASE_BARS)}
        answer = self.get(url, params)
        rows, latency_ms, seen = _results(answer.document, url), answer.latency_ms, {url}
        while next_url := answer.document.get("next_url"):
            if not isinstance(next_url, str) or next_url in seen or len(seen) == MOST_PAGES:
                raise BadPayload(POLYGON.source, f"{venue_symbol}: its pages lead in a circle")
            seen.add(next_url)
            answer = self.get(next_url)
            rows += _results(answer.document, url)
            latency_ms += answer.latency_ms
        if not rows:
            self._check_ticker(ticker)
        is_unit = not venue_symbol.startswith(PREFIXES["pair"])
        return BarsAnswer(
            [_bar(row, has_volume=is_unit) for row in rows],
            answer.server_ms,
            latency_ms,
            decided_ms=_decided_ms(answer.document, rows, answer.server_ms, timeframe),
            has_volume=is_unit,
        )

    def splits(self, venue_symbol: str) -> list[Split]:
        """All of a stock."""
        document = self.get("/v3/reference/splits", {"ticker": venue_symbol, "limit": "1000"}).document
        return [
            split_on(POLYGON.source, row, "execution_date", "split_to", "split_from")
            for row in _results(document, "/v3/reference/splits")
        ]

    def _check_ticker(self, ticker: str) -> None:
        """Raise :class:`SymbolNotListed` for an unknown ticker; asked once."""
        with self._lock:
            if ticker in self._known:
                return
        self.get(f"/v3/reference/tickers/{ticker}")
        with self._lock:
            self._known.add(ticker)

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """``status`` is OK, DELAYED, or what went wrong."""
        if not isinstance(document, dict) or "status" not in document:
            return BadPayload(POLYGON.source, f"{where}: no status") if status == 200 else None
        word, message = document["status"], self.hidden(str(document.get("message") or document.get("error") or ""))
        if word in ("OK", "DELAYED"):
            return None
        if word == "NOT_FOUND":
            return SymbolNotListed(POLYGON.source, where.rpartition("/")[2], "unknown ticker")
        if word == "NOT_AUTHORIZED":
            return RequestRefused(POLYGON.source, f"the plan of this key does not include {where}: {message:.120}")
        if status == 429 or status >= 500:
            return None
        if "exceeded the maximum requests" in message:
            return RateLimited(POLYGON.source, message[:120], POLYGON.rules.rate_limit_s)
        return RequestRefused(POLYGON.source, f"{where}: {word!a:.40} {message:.120}")


def _results(document: Any, where: str) -> list[Any]:
    rows = document.get("results", [] if document.get("resultsCount") == 0 else None)
    if not isinstance(rows, list):
        raise BadPayload(POLYGON.source, f"{where}: no results, and not said to be none")
    return rows


def _bar(row: Any, *, has_volume: bool) -> Bar:
    if not isinstance(row, dict):
        return UNREADABLE_BAR
    open_ms, first, high, low, close = (row.get(name) for name in "tohlc")
    return Bar(open_ms, first, high, low, close, row.get("v") if has_volume else None)


def _decided_ms(document: Any, rows: list[Any], now_ms: int | None, timeframe: Timeframe) -> int | None:
    if document["status"] != "DELAYED" or now_ms is None:
        return None
    newest = max((row["t"] for row in rows if isinstance(row, dict) and isinstance(row.get("t"), int)), default=0)
    return max(timeframe.floor(now_ms - DELAYED_MS), timeframe.ceil(newest + MINUTE_MS))


SOURCE = RegisteredSource(POLYGON, PolygonClient)

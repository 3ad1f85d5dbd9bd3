"""CoinGecko's candles of coins, as a registered source that is only compared with.

Documentation: https://docs.coingecko.com/v3.0.1/reference/coins-id-ohlc and
https://docs.coingecko.com/v3.0.1/reference/common-errors-rate-limit.

- The number of days sets the length of a bar: 30 minutes for one day, 4 hours for up to 30. There is no cursor: an
  answer ends now.
- A row's time is the end of its bar. Answers are up to 15 minutes old.
- Prices are sampled averages over exchanges: too coarse to store, good enough for a second opinion.
- Coins have ids, and many share a name: only the largest are mapped.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, ClassVar

from backfill.domain.asset_names import asset_of, named_market
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.timeframes import DAY_MS, HOUR_MS, Timeframe
from backfill.domain.venues import StatusRules, Venue
from backfill.errors import BadPayload, ExchangeError, RateLimited, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient
from backfill.exchanges.source_contract import UNREADABLE_BAR, Bar, BarsAnswer, RegisteredSource, of_window

DAYS = {"30m": 1, "4h": 30}
# A cached answer lacks the newest bars.
LATE_MS = HOUR_MS
IDS = {
    "BTC": "bitcoin", "ETH": "ethereum", "SOL": "solana", "XRP": "ripple", "DOGE": "dogecoin", "ADA": "cardano",
    "AVAX": "avalanche-2", "LINK": "chainlink", "LTC": "litecoin", "BCH": "bitcoin-cash", "DOT": "polkadot",
    "ATOM": "cosmos", "ALGO": "algorand", "BNB": "binancecoin", "TRX": "tron", "SHIB": "shiba-inu", "PEPE": "pepe",
    "BONK": "bonk", "UNI": "uniswap", "AAVE": "aave",
}  # fmt: skip


def _market_named(symbol: str) -> Market | None:
    asset = asset_of(symbol)
    if asset is None or asset.kind != "coin" or asset.quote != "USD" or asset.base not in IDS:
        return None
    # An average of all markets may judge the coin; spot of one exchange may not.
    return replace(named_market(asset, IDS[asset.base]), is_spot=False)


COINGECKO = Venue(
    source="coingecko",
    client="registered",
    market_named=_market_named,
    fills=False,
    spot=False,
    rows_per_page=120,
    fewer_rows={"30m": 38},
    reach_days=DAYS,
    timeframes=tuple(DAYS),
    bounded=True,
    volume="none",
    limits_per_period_s=((10, 60),),  # docs: 30 with a key of the demo plan, 5 to 15 without
    spacing_ms=2500,
    rules=StatusRules(forbidden="ban", ban_s=300, rate_limit_s=60),
)


class CoinGeckoClient(HttpClient):
    """GET /api/v3/coins/.../ohlc."""

    venue: ClassVar[Venue] = COINGECKO
    public_url: ClassVar[str] = "https://api.coingecko.com"

    def headers(self) -> dict[str, str]:
        """The key of the demo plan, if any."""
        return {"x-cg-demo-api-key": self._access.key} if self._access.key else {}

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """The newest bars that lie in the window."""
        days = DAYS[timeframe.name]
        answer = self.get(f"/api/v3/coins/{venue_symbol}/ohlc", {"vs_currency": "usd", "days": str(days)})
        if not isinstance(answer.document, list):
            raise BadPayload(COINGECKO.source, f"{venue_symbol}: no list of candles")
        now_ms = answer.server_ms or round(time.time() * 1000)
        from_ms = timeframe.ceil(now_ms - days * DAY_MS)
        if from_ms >= window.end:
            raise RequestRefused(COINGECKO.source, f"{venue_symbol}: has {timeframe.name} of {days} days back only")
        bars = [_bar(row, timeframe) for row in answer.document]
        if bars and isinstance(bars[-1].open_ms, int) and not timeframe.is_on_grid(bars[-1].open_ms):
            del bars[-1]  # the running bar, which ends now
        covers = Interval(max(window.start, from_ms), window.end)
        asked = of_window(bars, covers, now_ms)
        late_ms = timeframe.floor(now_ms - LATE_MS)
        return BarsAnswer(asked, answer.server_ms, answer.latency_ms, covers, late_ms, has_volume=False)

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """Errors are {"error": "..."} or {"status": {"error_code": ..., "error_message": ...}}."""
        if not isinstance(document, dict) or status in (429, 451) or status >= 500:
            return None
        error, named = document.get("error"), document.get("status")
        if error == "coin not found":
            return SymbolNotListed(COINGECKO.source, where.split("/")[-2], "coin not found")
        if isinstance(named, dict):
            error = named.get("error_message")
            if named.get("error_code") == 429:
                return RateLimited(COINGECKO.source, str(error)[:120], COINGECKO.rules.rate_limit_s)
        return RequestRefused(COINGECKO.source, self.hidden(f"{where}: {error!s:.120}"))


def _bar(row: Any, timeframe: Timeframe) -> Bar:
    if not isinstance(row, list) or len(row) != 5 or not isinstance(row[0], int):
        return UNREADABLE_BAR
    end_ms, first, high, low, close = row
    return Bar(end_ms - timeframe.step_ms, first, high, low, close, None)


SOURCE = RegisteredSource(COINGECKO, CoinGeckoClient)

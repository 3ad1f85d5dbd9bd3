"""CoinGecko's OHLC of coins in dollars: to compare with, never stored.

After docs.coingecko.com/v3.0.1/reference/coins-id-ohlc (the Demo plan). The bars are of prices averaged over exchanges:
30 minutes within the last day, 4 hours within 30 days, without volume. A bar is dated by its end. Answers are renewed
every 15 minutes.

The connection ``coingecko_default``: the password is the Demo key. Symbols are not unique there (docs: "coin ID"), so
only the coins of :data:`COIN_IDS` have a market.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from backfill.domain.asset_names import asset_of, named_market
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.timeframes import HOUR_MS, Timeframe
from backfill.domain.venues import DAY_S, StatusRules, Venue
from backfill.errors import BadPayload, ExchangeError, RateLimited, RequestRefused, SymbolNotListed
from backfill.exchanges.http_client import HttpClient
from backfill.exchanges.source_contract import UNREADABLE_BAR, Bar, BarsAnswer, RegisteredSource, SourceAccess

COIN_IDS = {
    "BTC": "bitcoin",
    "ETH": "ethereum",
    "SOL": "solana",
    "XRP": "ripple",
    "DOGE": "dogecoin",
    "ADA": "cardano",
    "AVAX": "avalanche-2",
    "LINK": "chainlink",
    "LTC": "litecoin",
    "BCH": "bitcoin-cash",
    "DOT": "polkadot",
    "TRX": "tron",
    "BNB": "binancecoin",
    "UNI": "uniswap",
    "ATOM": "cosmos",
    "NEAR": "near",
    "AAVE": "aave",
}
# By timeframe: what may be asked for, in days; more would give longer bars.
DAYS = {"30m": (1,), "4h": (7, 14, 30)}
# Answers are renewed every 15 minutes, so the newest bars may still come.
DECIDED_AFTER_MS = HOUR_MS


def coin(symbol: str) -> Market | None:
    """The coin in dollars of ``BTC-USDT``: an average of markets, which stands in for none and may judge them all."""
    asset = asset_of(symbol)
    if asset is None or asset.kind != "coin" or asset.quote != "USD" or asset.base not in COIN_IDS:
        return None
    return replace(named_market(asset, COIN_IDS[asset.base]), is_spot=False)


VENUE = Venue(
    source="coingecko",
    client="registered",
    market_named=coin,
    fills=False,
    needs_key=True,
    rows_per_page=60,
    fewer_rows={"30m": 38},
    reach_days={name: days[-1] for name, days in DAYS.items()},
    timeframes=tuple(DAYS),
    bounded=True,
    volume="none",
    # docs, Demo plan: 30 a minute, 10,000 a month.
    limits_per_period_s=((25, 60), (300, DAY_S)),
    spacing_ms=2000,
    rules=StatusRules(forbidden="ban", ban_s=600, rate_limit_s=60),
)


class CoinGeckoClient(HttpClient):
    """See :class:`backfill.exchanges.source_contract.CandleClient`."""

    venue: ClassVar[Venue] = VENUE
    public_url: ClassVar[str] = "https://api.coingecko.com"

    def __init__(self, access: SourceAccess, clock: Callable[[], float] = time.time) -> None:
        super().__init__(access)
        self._clock = clock

    def headers(self) -> Mapping[str, str]:
        """docs, Authentication: the Demo key."""
        return {"x-cg-demo-api-key": str(self._access.key)}

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """One request, whose answer ends now and begins some days before."""
        now_ms = round(1000 * self._clock())
        oldest_ms = VENUE.oldest_open_ms(timeframe.step_ms, now_ms) or window.start
        covers = Interval(min(max(window.start, oldest_ms), window.end), window.end)
        if covers.start == covers.end:
            return BarsAnswer([], self.server_ms, 0.0, covers, has_volume=False)
        age_days = (now_ms - covers.start) / (DAY_S * 1000)
        days = next((days for days in DAYS[timeframe.name] if days > age_days + 0.5), DAYS[timeframe.name][-1])
        answer = self.get(f"/api/v3/coins/{venue_symbol}/ohlc", {"vs_currency": "usd", "days": str(days)})
        if not isinstance(answer.document, list):
            raise BadPayload("coingecko", f"{venue_symbol}: no list of bars")
        bars = [_bar(row, timeframe) for row in answer.document]
        inside = [bar for bar in bars if not isinstance(bar.open_ms, int) or covers.start <= bar.open_ms < covers.end]
        told_ms = now_ms if answer.server_ms is None else answer.server_ms
        decided_ms = timeframe.floor(told_ms - DECIDED_AFTER_MS - timeframe.step_ms)
        return BarsAnswer(inside, answer.server_ms, answer.latency_ms, covers, decided_ms, has_volume=False)

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """``{"error": text}`` or ``{"status": {"error_code", "error_message"}}``, or both one in the other."""
        outer = document if isinstance(document, dict) else {}
        error = outer.get("error")
        inner = (error if isinstance(error, dict) else outer).get("status")
        code = inner.get("error_code") if isinstance(inner, dict) else None
        if code == 429:
            return RateLimited("coingecko", "too many requests", VENUE.rules.rate_limit_s)
        if status in (429, 451) or status >= 500 or (error is None and code is None):
            return None
        text = self.hidden(f"{error or inner!r}")[:160]
        if status == 404 and "not found" in text:
            return SymbolNotListed("coingecko", where.split("/")[-2])
        return RequestRefused("coingecko", f"{where}: {text}")


def _bar(row: Any, timeframe: Timeframe) -> Bar:
    """End in ms, open, high, low, close."""
    if not isinstance(row, list) or len(row) != 5 or not isinstance(row[0], int):
        return UNREADABLE_BAR
    return Bar(row[0] - timeframe.step_ms, row[1], row[2], row[3], row[4], None)


SOURCE = RegisteredSource(VENUE, CoinGeckoClient)

"""Markets of venues as ccxt would describe them, answers of OKX, and clients that know the markets unasked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from backfill.domain.markets import Market
from backfill.domain.venues import Venue, venue
from backfill.errors import ExchangeError, RateLimited
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.exchanges.ccxt_markets import market_of
from unit.exchanges.canned_answers import Answer, CannedAnswers

SINCE_MS = 1_700_000_040_000
BASE_URL = "http://127.0.0.1:8900/paper"


def perpetual(base: str, quote: str = "USDT", *, market_id: str | None = None, **told: Any) -> Market:
    """A linear perpetual settled in its quote currency, unless ``told`` says otherwise."""
    settle = told.pop("settle", quote)
    described = {
        "id": market_id or f"{base}{quote}",
        "symbol": f"{base}/{quote}:{settle}",
        "base": base,
        "quote": quote,
        "settle": settle,
        "settleId": settle.lower(),
        "baseName": base,
        "type": "swap",
        "swap": True,
        "spot": False,
        "contract": True,
        "linear": settle == quote,
        "inverse": settle == base,
        "contractSize": 1.0,
    }
    return market_of({**described, **told})


def spot(base: str, quote: str = "USDT", *, market_id: str | None = None, **told: Any) -> Market:
    described = {
        "id": market_id or f"{base}{quote}",
        "symbol": f"{base}/{quote}",
        "base": base,
        "quote": quote,
        "type": "spot",
        "spot": True,
        "swap": False,
        "contract": False,
    }
    return market_of({**described, **told})


BITCOIN = {
    "okx": perpetual("BTC", market_id="BTC-USDT-SWAP", contractSize=0.01),
    "bybit": perpetual("BTC"),
    "binanceusdm": perpetual("BTC"),
    "bitget": perpetual("BTC"),
    "gate": perpetual("BTC", market_id="BTC_USDT", contractSize=0.0001),
    "kucoinfutures": perpetual("BTC", market_id="XBTUSDTM", contractSize=0.001),
    "hyperliquid": perpetual("BTC", "USDC", market_id="0"),
    "mexc": perpetual("BTC", market_id="BTC_USDT", contractSize=0.0001),
    "binance": spot("BTC"),
    "kraken": spot("BTC", market_id="XBTUSDT"),
    "coinbase": spot("BTC", "USD", market_id="BTC-USD"),
}


class Asked:
    """A client of a venue over canned answers, with everything that it did to the world around it."""

    def __init__(
        self,
        source: str | Venue,
        *answers: Answer | Exception,
        markets: tuple[Market, ...] | None = None,
        before_request: Callable[[], None] = lambda: None,
        base_url: str | None = BASE_URL,
        **options: Any,
    ) -> None:
        self.venue = source if isinstance(source, Venue) else venue(source)
        self.adapter = CannedAnswers(*answers)
        self.bans: list[RateLimited] = []
        self.naps_s: list[float] = []
        self.turns = 0
        self.market = BITCOIN.get(self.venue.source) or perpetual("BTC")
        self._before_request = before_request
        self.client = CcxtClient(
            self.venue,
            base_url=base_url,
            markets=(self.market,) if markets is None else markets,
            before_request=self._take_turn,
            on_ban=self.bans.append,
            sleep=self.naps_s.append,
            transport=self.adapter,
            **options,
        )

    def _take_turn(self) -> None:
        self.turns += 1
        self._before_request()

    def candles(self, since_ms: int = SINCE_MS, limit: int = 10, timeframe: str = "1m"):
        return self.client.candles(self.market.venue_symbol, timeframe, since_ms, limit)

    @property
    def requests(self) -> int:
        """Which three counts agree on."""
        assert self.client.requests_made == self.turns == len(self.adapter.requests)
        return self.turns


def refused(asked: Asked) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        asked.candles(SINCE_MS)
    assert caught.value.exchange == asked.venue.source
    return caught.value


def json_answer(document: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(json.dumps(document).encode(), status, headers)


def okx(rows: list[Any]) -> Answer:
    return json_answer({"code": "0", "msg": "", "data": rows}, Date="Tue, 14 Nov 2023 22:15:00 GMT")


def okx_row(open_ms: Any = SINCE_MS, confirm: str = "1") -> list[Any]:
    return [open_ms, "1", "3", "0.5", "2", "1000", "10", "15.5", confirm]

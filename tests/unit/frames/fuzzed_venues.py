"""Venues behind ccxt that answer what they are told to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from backfill.domain.markets import Market
from backfill.domain.symbols import Listing
from backfill.domain.timeframes import TIMEFRAMES
from backfill.domain.venues import venue
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.sources.ccxt_source import CcxtSource
from unit.exchanges.venue_markets import BASE_URL, BITCOIN
from unit.frames import hostile_payloads as hostile
from unit.frames import judged_pages as judge


class FuzzedVenue:
    """A venue with one market, in minutes. Without ``markets`` it is asked what it lists."""

    def __init__(self, name: str, markets: Sequence[Market] | None = None) -> None:
        self.name = name
        self.layout = judge.LAYOUTS.get(name, judge.LAYOUTS["binanceusdm"])
        self.exchange = hostile.Exchange()
        self._market = BITCOIN[name]
        self.client = CcxtClient(
            venue(name),
            base_url=BASE_URL,
            markets=(self._market,) if markets is None else markets,
            sleep=lambda _: None,
            transport=self.exchange,
        )

    def source(self, price_scale: float = 1.0) -> CcxtSource:
        listing = Listing(self._market.venue_symbol, "perpetual", price_scale, volume_scale=1.0)
        return CcxtSource(self.client, listing, TIMEFRAMES["1m"])

    @property
    def from_ms(self) -> float:
        """The first bar that may stand in a page that was asked for with the judge's cursor."""
        if not self.client.venue.bounded:
            return -math.inf
        return judge.CURSOR_MS - (self.client.venue.rows("1m") + 1) * judge.MINUTE_MS

    def envelope(self, rows: Any) -> Any:
        return ENVELOPES[self.name](rows)


ENVELOPES: dict[str, Callable[[Any], Any]] = {
    "okx": lambda rows: {"code": "0", "msg": "", "data": rows},
    "bybit": lambda rows: {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}},
    "binanceusdm": lambda rows: rows,
    "bitget": lambda rows: {"code": "00000", "msg": "success", "data": rows},
    "gate": lambda rows: rows,
    "kucoinfutures": lambda rows: {"code": "200000", "data": rows},
    "hyperliquid": lambda rows: rows,
    "binance": lambda rows: rows,
    "kraken": lambda rows: {"error": [], "result": {"XBTUSDT": rows, "last": 0}},
    "coinbase": lambda rows: {"candles": rows},
}

"""Venues behind ccxt that answer what they are told to."""

from __future__ import annotations

from typing import Any

from backfill.domain.symbols import Listing
from backfill.domain.timeframes import TIMEFRAMES
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.exchanges.venues import venue
from backfill.jobs.ccxt_source import CcxtSource
from unit.exchanges.venue_markets import BASE_URL, BITCOIN
from unit.frames import hostile_payloads as hostile


class FuzzedVenue:
    """A venue with one perpetual, in minutes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.layout = hostile.LAYOUTS[name]
        self.exchange = hostile.Exchange()
        self._market = BITCOIN[name]
        self._client = CcxtClient(
            venue(name), base_url=BASE_URL, markets=(self._market,), sleep=lambda _: None, transport=self.exchange
        )

    def source(self, price_scale: float = 1.0) -> CcxtSource:
        listing = Listing(self._market.venue_symbol, "perpetual", price_scale, volume_scale=1.0)
        return CcxtSource(self._client, listing, TIMEFRAMES["1m"])

    def envelope(self, rows: Any) -> Any:
        if self.name == "okx":
            return {"code": "0", "msg": "", "data": rows}
        if self.name == "bybit":
            return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "symbol": "BTCUSDT", "list": rows}}
        return rows

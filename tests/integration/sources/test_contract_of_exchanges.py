"""Blofin and exchanges that ccxt has pass the kit for sources, as one written outside does."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from backfill.domain.symbols import Instrument, Listing, Refusal, find_listing
from backfill.domain.timeframes import Timeframe
from backfill.domain.venues import VENUES, Venue
from backfill.exchanges.blofin_client import BlofinClient
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.paper.market import PaperMarket
from backfill.paper.server import PaperExchange
from backfill.paper.venues import paper_exchange
from backfill.sources.blofin_source import BlofinSource
from backfill.sources.candle_source import CandleSource
from backfill.sources.ccxt_source import CcxtSource
from backfill.testing.source_contract import SETTLE_MS, Bench, SourceContract

pytestmark = pytest.mark.long


class TestBlofin(SourceContract):
    listing = Listing("BTC-USDT", "perpetual", 1.0, 1.0)

    def venue_of(self) -> Venue:
        return VENUES["blofin"]

    def paper(self, market: PaperMarket, **how: Any) -> PaperExchange:
        return paper_exchange("blofin", market, **how)

    def open_source(
        self, bench: Bench, listing: Listing, timeframe: Timeframe, rows_per_page: int | None, **access: Any
    ) -> CandleSource:
        client = BlofinClient(
            bench.session,
            bench.exchange.url,
            before_request=bench.take_turn,
            on_ban=bench.limits.append,
            timeout_s=bench.timeout_s,
            sleep=lambda _: None,
        )
        return BlofinSource(client, rows_per_page or 1440, SETTLE_MS, listing)


class ThroughCcxt(SourceContract):
    name: ClassVar[str]

    def venue_of(self) -> Venue:
        return VENUES[self.name]

    def paper(self, market: PaperMarket, **how: Any) -> PaperExchange:
        return paper_exchange(self.name, market, **how)

    def _client(self, bench: Bench, **given: Any) -> CcxtClient:
        venue = self.venue_of()
        return CcxtClient(
            venue,
            base_url=bench.exchange.url,
            before_request=bench.take_turn,
            on_ban=bench.limits.append,
            timeout_s=bench.timeout_s,
            sleep=lambda _: None,
            spot=venue.spot,
            **given,
        )

    def find(self, bench: Bench) -> Listing:
        client = self._client(bench)
        self.markets = client.markets()
        client.close()
        found = find_listing(Instrument.named("BTC-USDT"), self.venue_of(), self.markets, spot_proxy=True)
        assert not isinstance(found, Refusal)
        return found

    def open_source(
        self, bench: Bench, listing: Listing, timeframe: Timeframe, rows_per_page: int | None, **access: Any
    ) -> CandleSource:
        client = self._client(bench, markets=self.markets)
        return CcxtSource(client, listing, timeframe, SETTLE_MS, rows_per_page=rows_per_page, stands_in=False)


class TestOkx(ThroughCcxt):
    name = "okx"


class TestBybit(ThroughCcxt):
    name = "bybit"


class TestBinanceUsdm(ThroughCcxt):
    name = "binanceusdm"


class TestBinanceSpot(ThroughCcxt):
    name = "binance"
    symbol = "BTC-USDT-SPOT"
    our_name = "BTC-USDT"

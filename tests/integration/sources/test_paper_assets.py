"""The paper servers of all sources beside the table, as `python -m backfill.paper` starts them."""

from __future__ import annotations

import pytest
import requests

from backfill.domain.intervals import Interval
from backfill.domain.registered_sources import BUILT_IN, registered_source
from backfill.domain.timeframes import TIMEFRAMES
from backfill.exchanges.source_contract import SourceAccess
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.limits import NO_LIMITS
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import ASSET_PROTOCOLS, paper_exchange
from backfill.testing.source_contract import KEY, NOW_MS

COINS = SyntheticMarket(coins=LIQUID_COINS[:2])
WANTED = {
    "polygon": "BTC-USDT",
    "oanda": "EUR_USD",
    "alphavantage": "AAPL",
    "yfinance": "AAPL",
    "coingecko": "BTC-USDT",
}


def test_every_source_of_our_own_has_one() -> None:
    assert set(ASSET_PROTOCOLS) == set(BUILT_IN) == set(WANTED)


@pytest.mark.parametrize("name", WANTED)
def test_it_serves_stocks_and_currencies_beside_coins(name: str) -> None:
    source = registered_source(name)
    market = source.venue.market_named(WANTED[name])
    bar = TIMEFRAMES[source.venue.timeframes[0]]
    end_ms = bar.floor(NOW_MS)
    with (
        paper_exchange(name, COINS, limits=NO_LIMITS, clock=lambda: NOW_MS) as exchange,
        requests.Session() as session,
    ):
        client = source.open(SourceAccess(session=session, base_url=exchange.url, api_secret=KEY))
        window = Interval(end_ms - 9 * bar.step_ms, end_ms)
        assert len(client.bars(market.venue_symbol, bar, window).bars) == 9

"""CoinGecko on paper: the kit, names of coins, and that its candles are compared with but never stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from backfill.config.universe_file import load_universe
from backfill.domain.symbols import Instrument, Listing, find_listing, named_markets
from backfill.errors import UniverseInvalid
from backfill.exchanges.coingecko import COINGECKO, SOURCE
from backfill.paper.coingecko_protocol import CoinGeckoProtocol
from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange
from backfill.storage.candle_store import CandleStore
from backfill.testing.source_contract import SourceContract
from integration.fallback.conftest import MARKET, Venues, open_exchange
from integration.fallback.fills import run, sources_stored, want
from integration.helpers import DAY_MS, NOW_MS


class TestCoin(SourceContract):
    registered = SOURCE
    protocol = CoinGeckoProtocol
    unlisted = "nosuch"
    timeframe = "4h"


@pytest.mark.parametrize(
    ("name", "listing"),
    [
        ("BTC-USDT", Listing("bitcoin", "perpetual", 1.0, 1.0)),
        ("1000PEPE-USDT", Listing("pepe", "perpetual", 1000.0, 0.001)),
    ],
)
def test_a_coin_is_found_by_its_id_and_scale(name: str, listing: Listing) -> None:
    markets = named_markets(name, COINGECKO)
    assert markets is not None
    assert find_listing(Instrument.named(name), COINGECKO, markets) == listing


def test_a_coin_that_many_share_a_name_with_is_not_guessed() -> None:
    assert named_markets("WIF-USDT", COINGECKO) == []


def test_it_may_not_come_first(tmp_path: Path) -> None:
    universe = tmp_path / "universe.yaml"
    universe.write_text("instruments: [BTC-USDT]\nsources: [coingecko, blofin]\ntimeframes: {4h: 20d}\n")
    with pytest.raises(UniverseInvalid, match="coingecko is only compared with"):
        load_universe(universe)
    universe.write_text("instruments: [BTC-USDT]\nsources: [blofin, coingecko]\ntimeframes: {4h: 20d}\n")
    assert load_universe(universe).sources == ("blofin", "coingecko")


def test_what_the_primary_lacks_is_not_filled_from_it(store: CandleStore, database_uri: str) -> None:
    with (
        open_exchange("blofin") as blofin,
        PaperExchange(MARKET, CoinGeckoProtocol(), limits=NO_LIMITS, clock=lambda: NOW_MS) as coingecko,
    ):
        venues = Venues(database_uri, {"blofin": blofin, "coingecko": coingecko})
        window = want(store, "BTC-USDT", sources=("blofin", "coingecko"), timeframe="4h", history_ms=20 * DAY_MS)
        run(venues, [window])
        assert sources_stored(store, window) == {"blofin": 120}
        store.connection.execute("DELETE FROM backfill.candles ")
        with venues.refusing("blofin"):
            run(venues, [window])
        assert sources_stored(store, window) == {}
        assert coingecko.requests.total == 0

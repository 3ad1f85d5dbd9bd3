"""What each venue lists, under which name, in which size."""

from __future__ import annotations

import numpy as np
import pytest

from backfill.domain.timeframes import DAY_MS, MINUTE_MS
from backfill.errors import ConfigurationError
from backfill.paper.coins import LIQUID_COINS, MULTIPLIED_COINS, STOCK_LIKE_COINS
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import NAMES, VENUES, venue_market

MONDAY_MS = 1_782_691_200_000  # 2026-06-29T00:00Z
SPAN = ("1m", MONDAY_MS, MONDAY_MS + 60 * MINUTE_MS)
MARKET = SyntheticMarket(coins=[*LIQUID_COINS, *MULTIPLIED_COINS, *STOCK_LIKE_COINS])

# Blofin's name → the venue's, and how many of Blofin's units one of the venue's is.
PERPETUALS = {
    "okx": {
        "BTC-USDT": ("BTC-USDT", 1),
        "PEPE-USDT": ("PEPE-USDT", 1),
        "SHIB-USDT": ("SHIB-USDT", 1),
        "1000BONK-USDT": ("BONK-USDT", 0.001),
        "10000SATS-USDT": None,
        "1000000BABYDOGE-USDT": None,
    },
    "bybit": {
        "BTC-USDT": ("BTC-USDT", 1),
        "PEPE-USDT": ("1000PEPE-USDT", 1000),
        "SHIB-USDT": ("SHIB1000-USDT", 1000),
        "1000BONK-USDT": ("1000BONK-USDT", 1),
        "10000SATS-USDT": ("10000SATS-USDT", 1),
        "1000000BABYDOGE-USDT": ("1000000BABYDOGE-USDT", 1),
        "1000CHEEMS-USDT": ("1000000CHEEMS-USDT", 1000),
        "1000RATS-USDT": None,
    },
    "binanceusdm": {
        "BTC-USDT": ("BTC-USDT", 1),
        "PEPE-USDT": ("1000PEPE-USDT", 1000),
        "SHIB-USDT": ("1000SHIB-USDT", 1000),
        "1000BONK-USDT": ("1000BONK-USDT", 1),
        "10000SATS-USDT": ("1000SATS-USDT", 0.1),
        "1000000BABYDOGE-USDT": ("1MBABYDOGE-USDT", 1),
        "1000CHEEMS-USDT": None,
    },
}
WITH_PERPETUALS = sorted(PERPETUALS)


@pytest.mark.parametrize("name", WITH_PERPETUALS)
def test_coins_are_quoted_by_the_venues_own_number(name):
    view = venue_market(name, MARKET, difference_bp=0, own_volumes=False)
    listed = {i.symbol for i in view.instruments if i.kind == "linear"}
    for theirs, ours in PERPETUALS[name].items():
        base = theirs.split("-")[0].lstrip("10")
        if ours is None:
            assert not [symbol for symbol in listed if base in symbol]
            continue
        symbol, units = ours
        assert [s for s in listed if base in s] == [symbol]
        here, there = view.candles(symbol, *SPAN), MARKET.candles(theirs, *SPAN)
        assert np.allclose(here["close"], units * there["close"], rtol=1e-9)
        assert np.allclose(here["base_volume"] * units, there["base_volume"], rtol=1e-9)
        assert np.array_equal(here["quote_volume"], there["quote_volume"])


def test_blofin_itself_has_the_multiplied_coins_outside_the_default_32():
    assert len(SyntheticMarket().instruments) == 32
    assert {"1000BONK-USDT", "10000SATS-USDT", "1000000BABYDOGE-USDT"} < {i.symbol for i in MARKET.instruments}


def test_contracts_of_okx_are_not_blofins():
    okx = venue_market("okx", MARKET)
    assert (str(okx.instrument("BTC-USDT").contract_value), str(okx.instrument("BTC-USDT").lot_size)) == (
        "0.01",
        "0.01",
    )
    assert str(MARKET.instrument("BTC-USDT").contract_value) == "0.001"
    assert okx.instrument("PEPE-USDT").contract_value == 10_000_000


@pytest.mark.parametrize("name", VENUES)
def test_spot_pairs_are_quoted_by_the_single_coin(name):
    view = venue_market(name, MARKET)
    pairs = {i.base: i for i in view.instruments if i.kind == "spot"}
    assert not [base for base in pairs if base[0].isdigit()]
    for base, pair in pairs.items():
        assert pair.contract_value == 1
        units = {"BONK": 1000, "SATS": 10_000}.get(base, 1)
        theirs = MARKET.candles(next(i.symbol for i in MARKET.instruments if i.base.lstrip("10") == base), *SPAN)
        here = view.candles(pair.symbol, *SPAN)
        if base in ("BTC", "BONK", "SATS", "ETH"):
            assert np.median(here["close"] * units / theirs["close"]) == pytest.approx(1, abs=1e-3)


def test_a_collision_has_the_venues_ordinary_name_and_a_wildly_different_price():
    plain, trapped = (venue_market("okx", MARKET, traps=traps) for traps in ((), ("collision",)))
    closes = [view.candles("WIF-USDT", *SPAN)["close"].mean() for view in (plain, trapped)]
    assert closes[1] > 100 * closes[0]
    assert trapped.instrument("WIF-USDT").kind == "linear"


@pytest.mark.parametrize("name", WITH_PERPETUALS)
def test_twins_of_btc_are_there_on_request_only(name):
    assert not {"BTC-USD", "BTC-USDC"} & {i.symbol for i in venue_market(name, MARKET).instruments}
    view = venue_market(name, MARKET, traps=("inverse", "usdc"))
    assert (view.instrument("BTC-USD").kind, view.instrument("BTC-USD").settle) == ("inverse", "BTC")
    assert (view.instrument("BTC-USDC").kind, view.instrument("BTC-USDC").settle) == ("linear", "USDC")
    btc, usdc = (view.candles(symbol, "1m", MONDAY_MS, MONDAY_MS + DAY_MS) for symbol in ("BTC-USDT", "BTC-USDC"))
    assert 1e4 * np.log(usdc["close"] / btc["close"]).mean() == pytest.approx(2, abs=0.3)


def test_a_coin_may_be_there_both_by_the_thousand_and_by_the_single_one():
    plain, twice = (venue_market("bybit", MARKET, traps=traps) for traps in ((), ("twice",)))
    added = {i.symbol for i in twice.instruments} - {i.symbol for i in plain.instruments}
    assert {"PEPE-USDT", "SHIB-USDT", "BONK-USDT"} < added
    thousand, one = (twice.candles(symbol, *SPAN) for symbol in ("1000PEPE-USDT", "PEPE-USDT"))
    assert np.allclose(thousand["close"], 1000 * one["close"], rtol=5e-3)


def test_an_unknown_venue_is_an_error_that_names_the_known_ones():
    with pytest.raises(ConfigurationError, match=", ".join(NAMES)):
        venue_market("mtgox", MARKET)

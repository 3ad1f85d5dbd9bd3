"""Which market is our instrument, and by how much its numbers differ."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.markets import Market
from backfill.domain.symbols import (
    NO_TWIN_ELSEWHERE,
    AmbiguousListing,
    Instrument,
    Listing,
    Refusal,
    find_listing,
    is_instrument_name,
    prove,
    readings,
)
from backfill.domain.venues import VENUES, venue
from backfill.exchanges.ccxt_rows import CcxtRow
from backfill.frames.ccxt_frame import ccxt_frame
from unit.exchanges.venue_markets import perpetual, spot

MINUTE_MS = 60_000


def found(symbol: str, source: str, *markets: Market, spot_proxy: bool = False) -> Listing:
    listing = find_listing(Instrument.named(symbol), VENUES[source], markets, spot_proxy=spot_proxy)
    assert isinstance(listing, Listing)
    return listing


def refusal(symbol: str, source: str, *markets: Market, spot_proxy: bool = False) -> Refusal:
    refused = find_listing(Instrument.named(symbol), VENUES[source], markets, spot_proxy=spot_proxy)
    assert isinstance(refused, Refusal)
    assert refused.reason
    return refused


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "coin", "multiplier"),
    [
        ("1000BONK", "BONK", 1000),
        ("10000SATS", "SATS", 10_000),
        ("1000SATS", "SATS", 1000),
        ("1000000BABYDOGE", "BABYDOGE", 1_000_000),
        ("1MBABYDOGE", "BABYDOGE", 1_000_000),
        ("1000000MOG", "MOG", 1_000_000),
        ("1000000CHEEMS", "CHEEMS", 1_000_000),
        ("SHIB1000", "SHIB", 1000),
        ("1000LUNA2", "LUNA2", 1000),
    ],
)
def test_a_multiplier_is_read_before_and_after_a_name(name, coin, multiplier):
    assert readings(name) == {name: 1, coin: multiplier}


@pytest.mark.parametrize(
    "name",
    [
        *("0G", "1INCH", "2Z", "A2Z", "42", "LUNA2", "C98", "B3", "API3", "BANANAS31", "BROCCOLI714", "BROCCOLIF3B"),
        *("KAS", "KAVA", "KPEPE", "K", "M", "MOG", "MBABYDOGE", "1M", "1000", "1000X", "X1000X", "100X", "100BONK"),
        *("10BONK", "2000BONK", "1001BONK", "BTC", "PEPE", ""),
    ],
)
def test_digits_and_letters_that_belong_to_a_name_are_no_multiplier(name):
    assert readings(name) == {name: 1}
    assert readings(name, k_is_thousand=True) == {name: 1}


def test_a_small_k_is_a_thousand_at_hyperliquid_only():
    assert readings("kPEPE", k_is_thousand=True) == {"kPEPE": 1, "PEPE": 1000}
    assert readings("kPEPE") == {"kPEPE": 1}
    assert readings("KAVA", k_is_thousand=True) == {"KAVA": 1}


# -- multipliers ---------------------------------------------------------------------------------------------------

# Instrument, venue, its name there, price scale, volume scale: Blofin's instruments of 2025-12-14 against what
# freqtrade and passivbot know of the venues.
PAIRS = [
    ("1000BONK-USDT", "binanceusdm", "1000BONK", 1, 1),
    ("1000BONK-USDT", "bybit", "1000BONK", 1, 1),
    ("1000BONK-USDT", "okx", "BONK", 1000, 0.001),
    ("PEPE-USDT", "binanceusdm", "1000PEPE", 0.001, 1000),
    ("PEPE-USDT", "bybit", "1000PEPE", 0.001, 1000),
    ("PEPE-USDT", "okx", "PEPE", 1, 1),
    ("SHIB-USDT", "binanceusdm", "1000SHIB", 0.001, 1000),
    ("SHIB-USDT", "bybit", "SHIB1000", 0.001, 1000),
    ("SHIB-USDT", "okx", "SHIB", 1, 1),
    ("10000SATS-USDT", "binanceusdm", "1000SATS", 10, 0.1),
    ("10000SATS-USDT", "bybit", "10000SATS", 1, 1),
    ("1000000BABYDOGE-USDT", "binanceusdm", "1MBABYDOGE", 1, 1),
    ("1000000BABYDOGE-USDT", "bybit", "1000000BABYDOGE", 1, 1),
    ("1000000MOG-USDT", "bybit", "1000000MOG", 1, 1),
    ("1000FLOKI-USDT", "binanceusdm", "1000FLOKI", 1, 1),
    ("1000FLOKI-USDT", "bybit", "1000FLOKI", 1, 1),
    ("1000RATS-USDT", "binanceusdm", "1000RATS", 1, 1),
    ("1000CHEEMS-USDT", "bybit", "1000000CHEEMS", 0.001, 1000),
    ("NEIRO-USDT", "okx", "NEIRO", 1, 1),
    ("TURBO-USDT", "bybit", "1000TURBO", 0.001, 1000),
]


@pytest.mark.parametrize(("symbol", "source", "base", "price_scale", "volume_scale"), PAIRS)
def test_an_instrument_is_found_under_each_venues_name_and_scaled(symbol, source, base, price_scale, volume_scale):
    others = [perpetual("BTC"), perpetual("ETH"), spot(base), perpetual(base, "USDC")]
    listing = found(symbol, source, *others, perpetual(base))
    assert listing == Listing(f"{base}/USDT:USDT", "perpetual", price_scale, volume_scale)


@pytest.mark.parametrize(
    ("symbol", "name", "price_scale", "volume_scale"),
    [("1000BONK-USDC", "kBONK", 1, 1), ("PEPE-USDC", "kPEPE", 0.001, 1000), ("SHIB-USDC", "kSHIB", 0.001, 1000)],
)
def test_hyperliquids_thousands_serve_what_settles_in_usdc(symbol, name, price_scale, volume_scale):
    thousands = perpetual(name.upper(), "USDC", baseName=name)
    listing = found(symbol, "hyperliquid", perpetual("KAVA", "USDC"), thousands)
    assert listing == Listing(f"{name.upper()}/USDC:USDC", "perpetual", price_scale, volume_scale)


@pytest.mark.parametrize(("symbol", "source", "base", "price_scale", "volume_scale"), PAIRS)
def test_what_was_paid_is_the_same_on_both_sides(symbol, source, base, price_scale, volume_scale):
    """The candle of one trade, told by the venue in its unit, is the candle that Blofin tells in ours."""
    coins, coin_price = 3_000_000.0, 0.00002
    theirs, ours = (max(readings(name).values()) for name in (base, symbol.partition("-")[0]))
    price = coin_price * theirs
    row = CcxtRow(1_700_000_040_000, price, price, price, price, coins / theirs, None, True, [])
    listing = found(symbol, source, perpetual(base))
    candle = ccxt_frame([row], listing.price_scale, listing.volume_scale).to_pandas().iloc[0]
    assert candle["close"] == pytest.approx(coin_price * ours, rel=1e-12)
    assert candle["volume"] == pytest.approx(coins / ours, rel=1e-12)
    assert candle["close"] * candle["volume"] == pytest.approx(coins * coin_price, rel=1e-12)


@given(st.sampled_from([1, 1000, 10_000, 1_000_000]), st.sampled_from([1, 1000, 10_000, 1_000_000]))
def test_scales_are_each_others_inverse(ours, theirs):
    def named(multiplier: int) -> str:
        return f"{multiplier if multiplier > 1 else ''}DOGEY"

    listing = found(f"{named(ours)}-USDT", "okx", perpetual(named(theirs)))
    assert listing.price_scale == pytest.approx(ours / theirs)
    assert listing.price_scale * listing.volume_scale == pytest.approx(1)


@pytest.mark.parametrize(
    ("source", "size", "volume_scale"),
    [("gate", 0.0001, 0.0001), ("kucoinfutures", 0.001, 0.001), ("mexc", 0.0001, 0.0001), ("okx", 0.01, 1)],
)
def test_contracts_are_counted_in_coins_where_the_venue_counts_contracts(source, size, volume_scale):
    assert found("BTC-USDT", source, perpetual("BTC", contractSize=size)).volume_scale == volume_scale


def test_contracts_of_thousands_are_scaled_by_both():
    listing = found("PEPE-USDT", "mexc", perpetual("1000PEPE", contractSize=10))
    assert (listing.price_scale, listing.volume_scale) == (0.001, 10_000)


def test_contracts_of_an_unknown_size_are_refused():
    assert "size" in refusal("BTC-USDT", "gate", perpetual("BTC", contractSize=None)).reason


def test_an_exchange_that_only_ccxt_knows_is_taken_to_count_contracts():
    listing = find_listing(Instrument.named("BTC-USDT"), venue("htx"), [perpetual("BTC", contractSize=0.001)])
    assert isinstance(listing, Listing)
    assert listing.volume_scale == 0.001


# -- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "market",
    [
        spot("BTC"),
        perpetual("BTC", "USD", settle="BTC"),  # inverse
        perpetual("BTC", "USDC"),
        perpetual("BTC", "USDT", settle="BTC", linear=False),
        perpetual("BTC", swap=False, type="future"),  # with an expiry
        perpetual("BTCDOM"),
        perpetual("WBTC"),
        perpetual("1000BTC", "USD", settle="BTC"),
    ],
)
def test_only_a_linear_perpetual_in_our_currency_will_do(market):
    assert "BTC" in refusal("BTC-USDT", "bybit", market).reason


def test_an_inverse_instrument_has_no_fallback():
    inverse = perpetual("BTC", "USD", settle="BTC")
    assert "linear" in refusal("BTC-USD", "bybit", inverse, perpetual("BTC")).reason
    told = Instrument("BTC-USD", "BTC", "USD", settle="BTC", contract_type="inverse")
    assert isinstance(find_listing(told, VENUES["bybit"], [inverse]), Refusal)


def test_an_instrument_that_settles_in_another_coin_has_no_fallback():
    quanto = Instrument("ETH-USDT", "ETH", "USDT", settle="BTC", contract_type="linear")
    assert isinstance(find_listing(quanto, VENUES["bybit"], [perpetual("ETH")]), Refusal)


@pytest.mark.parametrize("name", sorted(NO_TWIN_ELSEWHERE))
def test_a_stock_a_metal_or_an_index_has_no_fallback_whatever_is_listed_elsewhere(name):
    assert name in refusal(f"{name}-USDT", "bybit", perpetual(name), spot(name), spot_proxy=True).reason


def test_the_same_name_is_preferred_to_one_that_has_to_be_read():
    assert found("PEPE-USDT", "okx", perpetual("1000PEPE"), perpetual("PEPE")).venue_symbol == "PEPE/USDT:USDT"
    assert found("1000BONK-USDT", "okx", perpetual("BONK"), perpetual("1000BONK")).price_scale == 1


def test_two_markets_that_could_be_meant_are_refused_by_name():
    refused = refusal("10000SATS-USDT", "bybit", perpetual("1000SATS"), perpetual("SATS"))
    assert isinstance(refused, AmbiguousListing)
    assert refused.venue_symbols == ("1000SATS/USDT:USDT", "SATS/USDT:USDT")
    assert "1000SATS/USDT:USDT" in refused.reason


def test_of_two_markets_the_one_that_still_trades_is_meant():
    listing = found("PEPE-USDT", "bybit", perpetual("1000PEPE", active=False), perpetual("PEPE1000", active=True))
    assert listing.venue_symbol == "PEPE1000/USDT:USDT"


def test_a_market_that_no_longer_trades_still_has_its_history():
    assert found("BTC-USDT", "okx", perpetual("BTC", active=False)).venue_symbol == "BTC/USDT:USDT"


@pytest.mark.parametrize(
    ("symbol", "other"),
    [
        ("X-USDT", "1000X"),  # a coin of that name
        ("MOG-USDT", "1MOG"),
        ("AVA-USDT", "KAVA"),
        ("AS-USDT", "KAS"),
        ("INCH-USDT", "1INCH"),
        ("G-USDT", "0G"),
        ("LUNA-USDT", "LUNA2"),
        ("BABYDOGE-USDT", "MBABYDOGE"),
        ("42-USDT", "1000"),
    ],
)
def test_a_name_that_only_looks_like_a_multiple_is_another_coin(symbol, other):
    assert not isinstance(refusal(symbol, "bybit", perpetual(other)), AmbiguousListing)


def test_a_coin_that_ccxt_renames_is_not_taken_for_ours():
    """MEXC's GAS is GASDAO, Bitget's DEGEN DegenReborn, KuCoin's ALT APTOSLAUNCHTOKEN (ccxt, commonCurrencies)."""
    assert refusal("GAS-USDT", "mexc", perpetual("GASDAO", market_id="GAS_USDT"))
    assert refusal("DEGEN-USDT", "bitget", perpetual("DegenReborn", market_id="DEGENUSDT"))
    assert refusal("ALT-USDT", "kucoinfutures", perpetual("APTOSLAUNCHTOKEN", market_id="ALTUSDTM"))


# -- spot stand-ins ------------------------------------------------------------------------------------------------


def test_spot_stands_in_only_where_it_is_allowed():
    refusal("BTC-USDT", "okx", spot("BTC"))
    listing = found("BTC-USDT", "okx", spot("BTC"), spot_proxy=True)
    assert listing == Listing("BTC/USDT", "spot_proxy", 1, 1)


def test_spot_never_stands_in_for_a_perpetual_that_is_there():
    listing = found("BTC-USDT", "okx", spot("BTC"), perpetual("BTC", contractSize=0.01), spot_proxy=True)
    assert listing.instrument_class == "perpetual"


def test_spot_is_quoted_in_our_currency_or_else_in_another_dollar():
    books = [spot("BTC", "USD"), spot("BTC", "USDC"), spot("BTC", "USDT"), spot("BTC", "EUR")]
    assert found("BTC-USDT", "kraken", *books, spot_proxy=True).venue_symbol == "BTC/USDT"
    assert found("BTC-USDC", "kraken", *books, spot_proxy=True).venue_symbol == "BTC/USDC"
    assert found("BTC-USDT", "coinbase", *books[:2], spot_proxy=True).venue_symbol == "BTC/USDC"
    assert found("BTC-USDT", "coinbase", books[0], spot_proxy=True).venue_symbol == "BTC/USD"
    refusal("BTC-USDT", "kraken", books[3], spot_proxy=True)


def test_spot_is_quoted_by_the_coin_and_scaled_like_all_else():
    listing = found("1000BONK-USDT", "coinbase", spot("BONK", "USD"), spot_proxy=True)
    assert (listing.price_scale, listing.volume_scale) == (1000, 0.001)


@pytest.mark.parametrize("source", ["gate", "binanceusdm", "hyperliquid"])
def test_a_venue_that_serves_us_perpetuals_only_has_no_stand_ins(source):
    refusal("BTC-USDT", source, spot("BTC"), spot_proxy=True)


@pytest.mark.parametrize("source", ["binance", "kraken", "coinbase"])
def test_a_venue_that_serves_us_spot_only_has_no_perpetuals(source):
    assert "no spot book" in refusal("BTC-USDT", source, perpetual("BTC"), spot_proxy=True).reason
    assert "allows no stand-in" in refusal("BTC-USDT", source, spot("BTC")).reason


# -- proof ---------------------------------------------------------------------------------------------------------


def walk(bars: int, price: float, seed: int = 1) -> dict[int, float]:
    """Closes of a price that wanders by a thousandth a minute."""
    steps = random.Random(seed)
    closes: dict[int, float] = {}
    for minute in range(bars):
        price *= 1 + steps.uniform(-0.001, 0.001)
        closes[1_700_000_040_000 + minute * MINUTE_MS] = price
    return closes


def scaled(closes: dict[int, float], by: float) -> dict[int, float]:
    return {open_ms: close * by for open_ms, close in closes.items()}


def test_the_same_coin_at_another_venue_is_proved():
    ours = walk(200, 90_000)
    jitter = random.Random(2)
    theirs = {open_ms: close * jitter.uniform(0.999, 1.001) for open_ms, close in ours.items()}
    proof = prove(ours, theirs)
    assert (proof.ok, proof.overlap_bars) == (True, 200)
    assert proof.median_ratio == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("wrong", [10, 1000, 0.001, 1.03, 0.97])
def test_a_wrong_multiplier_is_refused(wrong):
    ours = walk(200, 0.0123)
    proof = prove(ours, scaled(ours, wrong))
    assert not proof.ok
    assert proof.median_ratio == pytest.approx(wrong)
    assert f"{wrong:.6g}" in proof.reason


def test_another_coin_of_the_same_name_is_refused():
    assert not prove(walk(200, 3.2), walk(200, 0.0004, seed=9)).ok


@pytest.mark.parametrize(("bars", "enough"), [(0, False), (29, False), (30, True)])
def test_thirty_bars_in_common_are_needed(bars, enough):
    ours = walk(500, 100)
    theirs = dict(list(ours.items())[:bars]) | {open_ms + 30_000: close for open_ms, close in ours.items()}
    proof = prove(ours, theirs)
    assert (proof.ok, proof.overlap_bars) == (enough, bars)
    assert (proof.median_ratio is not None) is enough


def test_closes_that_are_no_prices_count_for_nothing():
    ours = walk(40, 100)
    nothings = [0.0, -1.0, math.nan, math.inf, *[0.0] * 7]
    theirs = ours | dict(zip(list(ours)[:11], nothings, strict=True))
    assert prove(ours, theirs).overlap_bars == 29
    assert prove(theirs, ours).overlap_bars == 29


def test_a_few_wild_minutes_do_not_unmake_a_proof():
    ours = walk(60, 100)
    theirs = dict(ours)
    for open_ms in list(theirs)[:20]:
        theirs[open_ms] *= 5
    assert prove(ours, theirs).ok


@pytest.mark.parametrize(("off", "ok"), [(0.0199, True), (-0.0199, True), (0.0201, False), (-0.0201, False)])
def test_two_percent_is_the_line(off, ok):
    ours = walk(30, 100)
    assert prove(ours, scaled(ours, 1 + off)).ok is ok


@pytest.mark.parametrize(
    "name",
    [
        "BTC-USDT",
        "kPEPE-USDT",
        "1000BONK-USDT",
        "BRK.B-USDT",
        "币安人生-USDT",
        "BTC-USDT-261225",
        "BTC-USD",
        "AAPL",
        "BRK.B",
        "0700.HK",
        "EUR_USD",
        "BTC-USDT.mark",
        "kPEPE-USDT.index",
    ],
)
def test_a_name_that_an_exchange_may_use_is_one(name):
    assert is_instrument_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "btc-usdt",
        "BTCUSDT",
        "aapl",
        "EUR_usd",
        "BTC-USDT.last",
        "BTC.mark",
        "BTC-usdt",
        "BTC/USDT",
        ".BTC-USDT",
        "BTC_-USDT",
        "BTC-USDT-SWAP",
        "BTC-USDT\n",
        "A" * 40 + "-USDT",
    ],
)
def test_a_name_that_is_mistyped_or_unsafe_is_none(name):
    assert not is_instrument_name(name)

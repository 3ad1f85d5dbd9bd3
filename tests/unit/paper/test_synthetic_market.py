"""The synthetic market: deterministic, random access, exactly aggregated, believable."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pytest

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES
from backfill.errors import UnknownSymbol, UnknownTimeframe
from backfill.paper.coins import LIQUID_COINS, made_up_coins
from backfill.paper.synthetic_market import SyntheticMarket

MONDAY_MS = 1_763_337_600_000  # 2025-11-17T00:00Z
NOW_MS = MONDAY_MS + 3 * DAY_MS + 5 * HOUR_MS + 17 * MINUTE_MS + 15_000
PRICES = ("open", "high", "low", "close")


@pytest.fixture(scope="module")
def market():
    return SyntheticMarket(seed=7)


def exact_sum(column):
    """The sum of the numbers as they are written, which floats alone would blur."""
    return sum(Decimal(repr(float(x))) for x in column)


@pytest.mark.parametrize("symbol", ["BTC-USDT", "PEPE-USDT", "TON-USDT"])
@pytest.mark.parametrize("name", [name for name in TIMEFRAMES if name != "1m"])
def test_a_higher_bar_is_the_exact_aggregate_of_its_minutes(market, symbol, name):
    step_ms = TIMEFRAMES[name].step_ms
    start_ms, end_ms = MONDAY_MS - 2 * step_ms, MONDAY_MS + step_ms
    start_ms, end_ms = TIMEFRAMES[name].floor(start_ms), TIMEFRAMES[name].floor(end_ms)
    bars = market.candles(symbol, name, start_ms, end_ms)
    assert bars["open_ms"].tolist() == list(range(start_ms, end_ms, step_ms))
    for bar in bars:
        minutes = market.candles(symbol, "1m", int(bar["open_ms"]), int(bar["open_ms"]) + step_ms)
        assert len(minutes) == step_ms // MINUTE_MS
        assert bar["open"] == minutes["open"][0]
        assert bar["high"] == minutes["high"].max()
        assert bar["low"] == minutes["low"].min()
        assert bar["close"] == minutes["close"][-1]
        assert exact_sum([bar["base_volume"]]) == exact_sum(minutes["base_volume"])
        assert exact_sum([bar["quote_volume"]]) == exact_sum(minutes["quote_volume"])


def test_two_markets_of_one_seed_agree_and_of_two_seeds_do_not(market):
    span = ("SOL-USDT", "1m", NOW_MS - DAY_MS, NOW_MS)
    assert np.array_equal(market.candles(*span), SyntheticMarket(seed=7).candles(*span))
    assert not np.array_equal(market.candles(*span), SyntheticMarket(seed=8).candles(*span))


def test_a_minute_is_the_same_whether_asked_for_alone_or_within_its_history(market):
    start_ms = MONDAY_MS - 2 * DAY_MS
    together = market.candles("ETH-USDT", "1m", start_ms, MONDAY_MS + DAY_MS)
    for index in (0, 1439, 1440, 2881, len(together) - 1):
        open_ms = int(together["open_ms"][index])
        alone = SyntheticMarket(seed=7, cached_days=1).candles("ETH-USDT", "1m", open_ms, open_ms + 1)
        assert np.array_equal(alone, together[index : index + 1])


def test_each_minute_opens_where_the_last_one_closed_across_midnight_too(market):
    candles = market.candles("XRP-USDT", "1m", MONDAY_MS - DAY_MS, MONDAY_MS + DAY_MS)
    assert np.array_equal(candles["open"][1:], candles["close"][:-1])


@pytest.mark.parametrize("coin", LIQUID_COINS, ids=lambda coin: coin.instrument.base)
def test_every_coin_trades_each_minute_on_its_tick_and_lot_at_sane_prices(market, coin):
    instrument = coin.instrument
    candles = market.candles(instrument.symbol, "1m", MONDAY_MS, MONDAY_MS + DAY_MS)
    assert len(candles) == 1440
    assert (candles["low"] > 0).all()
    assert (candles["high"] >= np.maximum(candles["open"], candles["close"])).all()
    assert (candles["low"] <= np.minimum(candles["open"], candles["close"])).all()
    assert (candles["base_volume"] > 0).all()
    for name in PRICES:
        assert all(Decimal(repr(x)) % instrument.tick_size == 0 for x in candles[name].tolist())
    lot = instrument.lot_size * instrument.contract_value
    assert all(Decimal(repr(x)) % lot == 0 for x in candles["base_volume"].tolist())
    average = candles["quote_volume"] / candles["base_volume"]
    assert (average <= candles["high"] * 1.0001).all()
    assert (average >= candles["low"] * 0.9999).all()
    assert candles["close"][-1] == pytest.approx(coin.price, rel=0.9)
    day_moves = np.diff(np.log(market.candles(instrument.symbol, "1d", MONDAY_MS - 90 * DAY_MS, MONDAY_MS)["close"]))
    assert 0.4 < day_moves.std() / coin.daily_volatility < 2


def test_the_running_bar_holds_only_what_has_traded_so_far(market):
    hour_ms = NOW_MS - NOW_MS % HOUR_MS
    running = market.candles("BTC-USDT", "1h", hour_ms, hour_ms + 1, now_ms=NOW_MS)[0]
    closed = market.candles("BTC-USDT", "1m", hour_ms, NOW_MS - NOW_MS % MINUTE_MS)
    minute = market.candles("BTC-USDT", "1m", NOW_MS - MINUTE_MS, NOW_MS, now_ms=NOW_MS)[-1]
    assert running["open"] == closed["open"][0]
    assert running["close"] == minute["close"]
    assert running["high"] == max(closed["high"].max(), minute["high"])
    assert running["low"] == min(closed["low"].min(), minute["low"])
    assert exact_sum([running["base_volume"]]) == exact_sum([*closed["base_volume"], minute["base_volume"]])


def test_the_running_minute_grows_into_the_closed_one(market):
    open_ms = NOW_MS - NOW_MS % MINUTE_MS
    seen = [
        market.candles("BTC-USDT", "1m", open_ms, open_ms + 1, now_ms=open_ms + into_ms)[0]
        for into_ms in (0, 15_000, 45_000, 60_000)
    ]
    volumes = [bar["base_volume"] for bar in seen]
    assert volumes == sorted(set(volumes))
    assert volumes[0] > 0
    assert seen[-1] == market.candles("BTC-USDT", "1m", open_ms, open_ms + 1)[0]
    assert all(bar["low"] <= min(bar["open"], bar["close"]) for bar in seen)
    assert all(bar["high"] >= max(bar["open"], bar["close"]) for bar in seen)


def test_no_bar_opens_later_than_now(market):
    for name, bar in TIMEFRAMES.items():
        candles = market.candles("BTC-USDT", name, NOW_MS - 2 * bar.step_ms, NOW_MS + DAY_MS, now_ms=NOW_MS)
        assert candles["open_ms"][-1] == bar.floor(NOW_MS)


def test_nothing_exists_before_the_bar_that_a_coin_was_listed_in(market):
    listed_ms = market.instrument("TON-USDT").listed_ms
    assert listed_ms % MINUTE_MS == 5_000
    for name in ("1m", "1h", "1d"):
        bar = TIMEFRAMES[name]
        candles = market.candles("TON-USDT", name, 0, listed_ms + 3 * bar.step_ms)
        assert candles["open_ms"][0] == bar.floor(listed_ms)
    day = market.candles("TON-USDT", "1d", listed_ms - DAY_MS, listed_ms + 1)[0]
    minutes = market.candles("TON-USDT", "1m", 0, int(day["open_ms"]) + DAY_MS)
    assert exact_sum([day["base_volume"]]) == exact_sum(minutes["base_volume"])
    assert (day["open"], day["low"]) == (minutes["open"][0], minutes["low"].min())
    assert len(market.candles("TON-USDT", "1d", 0, listed_ms, now_ms=listed_ms - 1)) == 0


def test_quiet_minutes_are_flat_bars_or_none_as_asked():
    span = ("BTC-USDT", "1m", MONDAY_MS, MONDAY_MS + DAY_MS)
    flat = SyntheticMarket(quiet_share=0.3).candles(*span)
    silent = flat[flat["base_volume"] == 0]
    assert 300 < len(silent) < 600
    for name in PRICES:
        assert np.array_equal(silent[name], silent["open"])
    absent = SyntheticMarket(quiet_share=0.3, quiet_bars="absent")
    assert np.array_equal(absent.candles(*span), flat[flat["base_volume"] > 0])
    hours = ("BTC-USDT", "1h", MONDAY_MS, MONDAY_MS + DAY_MS)
    assert np.array_equal(absent.candles(*hours), SyntheticMarket(quiet_share=0.3).candles(*hours))


def test_a_page_of_newest_bars_reaches_past_holes():
    absent = SyntheticMarket(quiet_share=0.6, quiet_bars="absent")
    page = absent.newest("BTC-USDT", "1m", 0, MONDAY_MS, 500, NOW_MS)
    assert len(page) == 500
    assert np.array_equal(page, absent.candles("BTC-USDT", "1m", int(page["open_ms"][0]), MONDAY_MS))


def test_made_up_coins_are_new_names_some_listed_lately_and_off_the_grid():
    coins = made_up_coins(279, as_of_ms=MONDAY_MS)
    symbols = {coin.instrument.symbol for coin in coins}
    assert len(symbols) == 279
    assert symbols.isdisjoint(coin.instrument.symbol for coin in LIQUID_COINS)
    ages = np.array([MONDAY_MS - coin.instrument.listed_ms for coin in coins]) / DAY_MS
    assert ages.min() < 10
    assert ages.max() > 800
    assert sum(coin.instrument.listed_ms % MINUTE_MS != 0 for coin in coins) == 70
    market = SyntheticMarket(coins=coins)
    for coin in coins[:20]:
        candles = market.candles(coin.instrument.symbol, "15m", MONDAY_MS, MONDAY_MS + DAY_MS)
        assert (candles["base_volume"] > 0).all()
        assert len(np.unique(candles["close"])) > 20


def test_unknown_symbols_and_timeframes_are_typed_errors(market):
    with pytest.raises(UnknownSymbol):
        market.candles("NOPE-USDT", "1m", 0, 1)
    with pytest.raises(UnknownTimeframe):
        market.candles("BTC-USDT", "1M", 0, 1)


def test_a_market_describes_itself_in_json(market):
    assert json.loads(json.dumps(market.describe()))["seed"] == 7

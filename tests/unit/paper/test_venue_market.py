"""A venue's view of a market: renamed, rescaled, a little different, and still a market."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from backfill.domain.timeframes import DAY_MS, MINUTE_MS, TIMEFRAMES
from backfill.errors import UnknownSymbol
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venue_market import PaperListing, VenueMarket

MONDAY_MS = 1_763_337_600_000  # 2025-11-17T00:00Z
NOW_MS = MONDAY_MS + 2 * DAY_MS + 77 * MINUTE_MS + 15_000
PRICES = ("open", "high", "low", "close")
MARKET = SyntheticMarket(seed=7, quiet_share=0.2)


def listing(of, symbol=None, units="1", **differently):
    theirs, units = MARKET.instrument(of), Decimal(units)
    lot_size = theirs.coin_step / units
    mine = replace(
        theirs,
        symbol=symbol or of,
        contract_value=Decimal(1),
        lot_size=lot_size,
        tick_size=theirs.tick_size * units,
    )
    return PaperListing(mine, of, units, **differently)


def venue(*listings, name="elsewhere", **differently):
    return VenueMarket(MARKET, name, listings, **differently)


@pytest.fixture(scope="module")
def other():
    return venue(
        listing("BTC-USDT", volume_share=1.4),
        listing("PEPE-USDT", "1000PEPE-USDT", "1000", volume_share=0.5),
        listing("TON-USDT", volume_share=0.5),
    )


def exact_sum(column):
    return sum(Decimal(repr(float(x))) for x in column)


def test_prices_differ_by_one_basis_point_in_the_median_and_six_in_the_last_percent(other):
    span = ("BTC-USDT", "1m", MONDAY_MS - 10 * DAY_MS, MONDAY_MS)
    here, there = other.candles(*span), MARKET.candles(*span)
    assert np.array_equal(here["open_ms"], there["open_ms"])
    apart_bp = 1e4 * np.abs(np.log(here["close"] / there["close"]))
    assert 0.9 < np.median(apart_bp) < 1.1
    assert 5.5 < np.percentile(apart_bp, 99) < 7.5


def test_the_difference_is_as_wide_as_asked():
    span = ("BTC-USDT", "1m", MONDAY_MS, MONDAY_MS + DAY_MS)
    wide = venue(listing("BTC-USDT"), difference_bp=20).candles(*span)
    assert 17 < np.median(1e4 * np.abs(np.log(wide["close"] / MARKET.candles(*span)["close"]))) < 23


def test_without_a_difference_candles_are_the_markets_renamed_and_rescaled():
    view = venue(listing("PEPE-USDT", "1000PEPE-USDT", "1000"), listing("BTC-USDT"), difference_bp=0)
    for timeframe in ("1m", "1h"):
        span = (timeframe, MONDAY_MS, NOW_MS, NOW_MS)
        assert np.array_equal(view.candles("BTC-USDT", *span), MARKET.candles("BTC-USDT", *span))
        here, there = view.candles("1000PEPE-USDT", *span), MARKET.candles("PEPE-USDT", *span)
        for name in PRICES:
            assert [Decimal(repr(x)) for x in here[name].tolist()] == [
                1000 * Decimal(repr(x)) for x in there[name].tolist()
            ]
        assert np.allclose(1000 * here["base_volume"], there["base_volume"], rtol=1e-12)
        assert np.array_equal(here["quote_volume"], there["quote_volume"])


def test_a_smaller_unit_scales_the_other_way():
    tenth = venue(listing("PEPE-USDT", units="0.1"), difference_bp=0)
    span = ("PEPE-USDT", "1m", MONDAY_MS, MONDAY_MS + 100 * MINUTE_MS)
    here, there = tenth.candles(*span), MARKET.candles(*span)
    assert np.allclose(10 * here["close"], there["close"], rtol=1e-12)
    assert np.allclose(here["base_volume"], 10 * there["base_volume"], rtol=1e-12)


def test_prices_are_on_the_tick_and_volumes_are_whole_lots(other):
    instrument = other.instrument("1000PEPE-USDT")
    candles = other.candles("1000PEPE-USDT", "1m", MONDAY_MS, MONDAY_MS + DAY_MS)
    for name in PRICES:
        assert all(Decimal(repr(x)) % instrument.tick_size == 0 for x in candles[name].tolist())
    assert all(Decimal(repr(x)) % instrument.coin_step == 0 for x in candles["base_volume"].tolist())


def test_every_minute_opens_where_the_one_before_closed_and_is_flat_without_trades(other):
    candles = other.candles("BTC-USDT", "1m", MONDAY_MS, MONDAY_MS + 2 * DAY_MS)
    assert np.array_equal(candles["open"][1:], candles["close"][:-1])
    silent = candles[candles["base_volume"] == 0]
    assert len(silent) > 400
    assert np.array_equal(silent["high"], silent["low"])
    assert (candles["high"] >= np.maximum(candles["open"], candles["close"])).all()
    assert (candles["low"] <= np.minimum(candles["open"], candles["close"])).all()


@pytest.mark.parametrize("name", ["3m", "1h", "6h", "1d", "1w"])
def test_a_higher_bar_is_the_exact_aggregate_of_the_venues_minutes(other, name):
    step_ms = TIMEFRAMES[name].step_ms
    start_ms = TIMEFRAMES[name].floor(MONDAY_MS)
    (bar,) = other.candles("BTC-USDT", name, start_ms, start_ms + 1)
    minutes = other.candles("BTC-USDT", "1m", start_ms, start_ms + step_ms)
    assert (bar["open"], bar["close"]) == (minutes["open"][0], minutes["close"][-1])
    assert (bar["high"], bar["low"]) == (minutes["high"].max(), minutes["low"].min())
    assert exact_sum([bar["base_volume"]]) == exact_sum(minutes["base_volume"])
    assert exact_sum([bar["quote_volume"]]) == exact_sum(minutes["quote_volume"])


def test_a_minute_is_the_same_whether_asked_for_alone_or_within_its_history(other):
    together = other.candles("BTC-USDT", "1m", MONDAY_MS - DAY_MS, MONDAY_MS + DAY_MS)
    for index in range(0, len(together), 97):
        open_ms = int(together["open_ms"][index])
        assert other.candles("BTC-USDT", "1m", open_ms, open_ms + 1)[0] == together[index]


def test_absent_minutes_stay_absent_and_change_nothing_of_the_others():
    absent = SyntheticMarket(seed=7, quiet_share=0.2, quiet_bars="absent")
    span = ("BTC-USDT", "1m", MONDAY_MS, MONDAY_MS + DAY_MS)
    flat = venue(listing("BTC-USDT")).candles(*span)
    sparse = VenueMarket(absent, "elsewhere", [listing("BTC-USDT")]).candles(*span)
    assert np.array_equal(sparse, flat[flat["base_volume"] > 0])


def test_two_venues_agree_on_no_price_series_and_on_no_volume():
    span = ("BTC-USDT", "1m", MONDAY_MS, MONDAY_MS + DAY_MS)
    views = [venue(listing("BTC-USDT", volume_share=share), name=name) for name, share in (("one", 1.4), ("two", 1.8))]
    here, there = (view.candles(*span) for view in views)
    traded = here["base_volume"] > 0
    assert (here["close"] != there["close"]).mean() > 0.9
    assert not (here["base_volume"] == there["base_volume"])[traded].any()
    assert not (here["base_volume"] == MARKET.candles(*span)["base_volume"])[traded].any()


def test_the_running_bar_is_there_and_grows_into_the_closed_one(other):
    open_ms = NOW_MS - NOW_MS % MINUTE_MS
    (running,) = other.candles("BTC-USDT", "1m", open_ms, NOW_MS + DAY_MS, NOW_MS)
    (ended,) = other.candles("BTC-USDT", "1m", open_ms, open_ms + 1)
    assert running["open"] == ended["open"]
    assert 0 < running["base_volume"] < ended["base_volume"]
    (hour,) = other.candles("BTC-USDT", "1h", NOW_MS - NOW_MS % 3_600_000, NOW_MS, NOW_MS)
    assert hour["close"] == running["close"]


def test_a_coin_begins_with_the_bar_it_was_listed_in(other):
    listed_ms = other.instrument("TON-USDT").listed_ms
    for name in ("1m", "1h", "1d"):
        bar = TIMEFRAMES[name]
        assert other.candles("TON-USDT", name, 0, listed_ms + 3 * bar.step_ms)["open_ms"][0] == bar.floor(listed_ms)
    assert len(other.candles("TON-USDT", "1m", 0, listed_ms - MINUTE_MS)) == 0


def test_pages_of_the_oldest_bars_begin_at_the_listing(other):
    listed_ms = other.instrument("TON-USDT").listed_ms
    page = other.oldest("TON-USDT", "1m", 0, NOW_MS, 10, NOW_MS)
    first_ms = listed_ms - listed_ms % MINUTE_MS
    assert page["open_ms"].tolist() == [first_ms + k * MINUTE_MS for k in range(10)]
    assert other.oldest("TON-USDT", "1m", NOW_MS - 1, NOW_MS + DAY_MS, 10, NOW_MS)["open_ms"].tolist() == []


def test_only_what_the_venue_lists_is_there(other):
    with pytest.raises(UnknownSymbol):
        other.candles("ETH-USDT", "1m", 0, 1)
    assert json.loads(json.dumps(other.describe()))["listings"]["1000PEPE-USDT"] == {"of": "PEPE-USDT", "units": "1000"}

"""Where each bar opens where the last one closed, one that does not is wrong; elsewhere that says nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backfill.domain.agreement import BP
from backfill.domain.candle_columns import PRICES
from backfill.domain.continuity import continuity
from backfill.domain.timeframes import timeframe
from reference import REAL, Market
from unit.domain.candle_walks import STEP, T0, changed, market, thin_pair

JOINED = ("bybit__BTC-USDT-PERP__15m", "bybit__BTC-USDT-PERP__1h", "bybit__ETH-USDT-PERP__15m")


def broken(candles: pd.DataFrame) -> list[int]:
    return ((continuity(candles, STEP).breaks["open_ms"] - T0) // STEP).tolist()


def a_tick_apart(candles: pd.DataFrame, tick: float, seed: int = 1) -> pd.DataFrame:
    """Each bar opens at the next trade, one tick off in half of the cases."""
    rng = np.random.default_rng(seed)
    told = candles.assign(**{price: (candles[price] / tick).round() * tick for price in PRICES})
    told.loc[1:, "open"] = told["close"].to_numpy()[:-1] + tick * rng.integers(0, 2, len(told) - 1)
    return told.assign(high=told[PRICES].max(axis=1), low=told[PRICES].min(axis=1))


@pytest.mark.parametrize("by", [1.0005, 1.002, 1.01])
def test_a_bar_of_other_prices_breaks_the_joints_at_both_its_ends(by: float) -> None:
    wrong = changed(market(1000), 500, **dict.fromkeys(PRICES, by))
    assert broken(wrong) == [500, 501]


def test_a_close_that_is_off_breaks_the_next_joint() -> None:
    assert broken(changed(market(1000), 500, close=1.001)) == [501]


def test_a_stuck_bar_breaks_the_joint_after_it() -> None:
    clean = market(1000)
    stuck = clean.copy()
    stuck.loc[500, PRICES] = clean.at[499, "close"]
    assert broken(stuck) == [501]


def test_a_series_with_one_bar_in_fifty_wrong_still_shows_which() -> None:
    clean = market(2000)
    at = np.arange(20, 2000, 50)
    wrong = clean.copy()
    wrong.loc[at, PRICES] *= 1.002
    assert broken(wrong) == sorted([*at, *(at + 1)])


def test_joints_a_tick_apart_are_the_markets_and_wider_ones_are_not() -> None:
    clean = a_tick_apart(market(2000), tick=5.0)
    assert continuity(clean, STEP).holds
    assert broken(clean) == []
    assert broken(changed(clean, 500, **dict.fromkeys(PRICES, 1.01))) == [500, 501]


def test_where_bars_open_at_a_trade_of_their_own_nothing_is_accused() -> None:
    """As on OKX, Gate and KuCoin."""
    _, thin = thin_pair(3000, trades=4.0)
    found = continuity(changed(thin, 500, close=1.05), STEP)
    assert not found.holds
    assert found.breaks.empty


def test_bars_without_a_trade_do_not_make_a_series_joined() -> None:
    _, thin = thin_pair(3000, trades=0.3)
    assert not continuity(thin, STEP).holds


def test_bars_of_two_sources_and_bars_beside_a_hole_are_not_joined() -> None:
    clean = market(1000).assign(source_id=1)
    other = clean.copy()
    other.loc[500:520, PRICES] *= 1.0005
    other.loc[500:520, "source_id"] = 2
    assert broken(other) == []
    holed = changed(clean, 600, **dict.fromkeys(PRICES, 1.01)).drop(index=[599, 601])
    assert broken(holed) == []


def test_a_short_series_shows_nothing() -> None:
    assert not continuity(market(100), STEP).holds
    assert not continuity(market(0), STEP).holds
    assert continuity(market(100), STEP).breaks.empty


@pytest.mark.parametrize("name", JOINED)
def test_every_bar_of_bybit_opens_where_the_last_closed(market: Market, name: str) -> None:
    found = continuity(market.frame(name), timeframe(name.split("__")[2]).step_ms)
    assert found.holds
    assert found.resolves < BP
    assert found.breaks.empty


def test_at_most_one_bar_in_a_hundred_thousand_of_real_series_is_accused(market: Market) -> None:
    """Of all series at once none."""
    if market.origin != REAL:
        pytest.skip("../shared/market is missing")
    bars = breaks = 0
    for name in market.names():
        candles = market.frame(name).sort_values("open_ms").drop_duplicates("open_ms")
        found = continuity(candles, timeframe(name.split("__")[2]).step_ms)
        is_joined = name.startswith(("bybit", "okx__BTC")) or (name.startswith("binance") and "PERP" in name)
        assert found.holds == is_joined, name
        bars, breaks = bars + found.holds * len(candles), breaks + len(found.breaks)
    assert (bars > 500_000, breaks) == (True, 0)

"""OKX's halt of 2022-12-18 in four coins, two of which fell silent before it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backfill.domain.timeframes import utc
from backfill.jobs.status.market_wide_holes import market_wide_holes
from backfill.paper.market import CANDLE, Candles
from integration.helpers import MINUTE_MS, ms
from integration.validation.keeper_on_paper import PRIMARY, Keeper
from reference import MADE, SHARED, Market, origins

STEP_MS = 5 * MINUTE_MS
COINS = ("BTC", "ETH", "XRP", "OP")
BARS_BEFORE = 2500
CASE = SHARED / "cases" / "okx_5m_20221218_halt_four_coins_146bars.csv"


def made_halt() -> pd.DataFrame:
    """As the real one: all silent for ten hours, XRP and OP at times in the hour before, and a jump at the end."""
    bars, rng = 146, np.random.default_rng(4)
    halted, columns = np.arange(bars) >= 22, {}
    for coin, silent in zip(COINS, ([], [], [3, 4, 5, 18, 19, 20, 21], [4, 5, 20, 21]), strict=True):
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, bars)))
        volume = rng.gamma(2, 50, bars)
        quiet = halted | np.isin(np.arange(bars), silent)
        quiet[-2:] = False
        close[quiet] = np.nan
        close[-2:] *= 0.97
        columns |= {f"close_{coin}": pd.Series(close).ffill().to_numpy(), f"volume_{coin}": np.where(quiet, 0, volume)}
    return pd.DataFrame({"open_ms": ms("2022-12-18T06:50") + STEP_MS * np.arange(bars), **columns})


def coin_bars(table: pd.DataFrame, coin: str) -> Candles:
    """The coin's bars after a week of ordinary trade that leads to them."""
    rng = np.random.default_rng(len(coin))
    close, volume = (table[f"{name}_{coin}"].to_numpy() for name in ("close", "volume"))
    walk = np.exp(np.cumsum(rng.normal(0, 0.0007, BARS_BEFORE)))
    closes = np.concatenate((walk * close[0] / walk[-1], close)).round(6)
    bars = np.zeros(len(closes), CANDLE)
    bars["open_ms"] = table["open_ms"].iloc[0] + STEP_MS * (np.arange(len(closes)) - BARS_BEFORE)
    bars["open"], bars["close"] = np.concatenate((closes[:1], closes[:-1])), closes
    bars["base_volume"] = np.concatenate((rng.gamma(2, 50, BARS_BEFORE), volume)).round(3)
    silent = bars["base_volume"] == 0
    bars["open"][silent] = closes[silent]
    bars["high"], bars["low"] = np.maximum(bars["open"], closes), np.minimum(bars["open"], closes)
    return bars


@pytest.mark.parametrize("origin", origins("cases"))
def test_one_outage_explains_every_silent_and_jumping_bar(database_uri: str, origin: str) -> None:
    table = made_halt() if origin == MADE else pd.read_csv(CASE)
    with Keeper(database_uri, Market(MADE)) as keeper:
        assert_explained(keeper, table)


def assert_explained(keeper: Keeper, table: pd.DataFrame) -> None:
    given = {(f"{coin}-USDT", "5m"): coin_bars(table, coin) for coin in COINS}
    keeper.source_has(PRIMARY, given)
    windows = [keeper.keep(symbol, timeframe, bars) for (symbol, timeframe), bars in given.items()]
    keeper.fill(*windows)
    for window in windows:
        keeper.validate_whole(window)
    assert keeper.kinds()["flat_bars"] >= 4

    market_wide_holes(keeper.store, at=utc(keeper.at_ms), since=utc(windows[0].start_ms))

    (outage,) = keeper.findings("source_outage", status="settled")
    assert f"{outage['end_time']:%F %R}" == "2022-12-18 18:50"
    assert keeper.kinds() == {}

"""Made-up markets for comparing candles, and the other venues and faults that they can have."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backfill.domain.agreement import BP
from backfill.domain.candle_columns import CANDLE_COLUMNS, PRICES

STEP = 60_000
T0 = 1_763_601_420_000


def market(bars: int = 200, *, move: float = 10 * BP, seed: int = 7, step_ms: int = STEP) -> pd.DataFrame:
    """A random walk whose closes move by ``move`` a bar; every bar spans about twice that."""
    rng = np.random.default_rng(seed)
    close = 50_000 * np.exp(np.cumsum(rng.normal(0, move * 1.48, bars)))
    opened = np.concatenate(([50_000.0], close))[:bars]
    wick = 1 + np.abs(rng.normal(0, move / 2, (2, bars)))
    high, low = np.maximum(opened, close) * wick[0], np.minimum(opened, close) / wick[1]
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": rng.gamma(2, 3, bars)}
    return pd.DataFrame({"open_ms": T0 + step_ms * np.arange(bars), **columns, "quote_volume": np.nan})[CANDLE_COLUMNS]


def changed(candles: pd.DataFrame, bar: int, **factors: float) -> pd.DataFrame:
    """One bar's fields times their factors."""
    told = candles.copy()
    for field, factor in factors.items():
        told.loc[bar, field] *= factor
    return told


def times(candles: pd.DataFrame, factor: float) -> pd.DataFrame:
    """All prices times a factor."""
    return candles.assign(**{price: candles[price] * factor for price in PRICES})


def late(candles: pd.DataFrame, lag_ms: int) -> pd.DataFrame:
    return candles.assign(open_ms=candles["open_ms"] + lag_ms)


def at_another_venue(candles: pd.DataFrame, offset: float, noise: float = 0.3 * BP) -> pd.DataFrame:
    """The same moves a little apart, with a little noise and seven times the volume."""
    rng = np.random.default_rng(11)
    told = times(candles, 1 + offset)
    told[PRICES] *= 1 + rng.normal(0, noise, (len(told), 4))
    return told.assign(volume=told["volume"] * 7)


def thin_pair(
    bars: int = 1440,
    *,
    trades: float = 3.0,
    apart: float = 6 * BP,
    move: float = 20 * BP,
    seed: int = 5,
    step_ms: int = STEP,
    crash: float = 1.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One market at two venues: one trades all the time, the other ``trades`` times a bar, as chance has it.

    A trade of the thin one is up to ``apart`` from the price of the moment, and its bar of no trade is flat at its
    last price. In a twelfth of the bars, one after another, the market moves ``crash`` times as much.
    """
    rng = np.random.default_rng(seed)
    points = 40
    wild = np.ones(bars)
    wild[bars // 2 : bars // 2 + bars // 12] = crash
    step = rng.standard_t(4, (bars, points)) * move * wild[:, None] / np.sqrt(2 * points)
    paths = 100 * np.exp(np.cumsum(step.ravel()) + 2 * BP * np.sin(np.arange(bars * points) / 9000)).reshape(bars, -1)
    closes = paths[:, -1]
    liquid = _bars_of(np.column_stack((np.r_[100.0, closes[:-1]], paths)), step_ms).assign(volume=rng.gamma(2, 3, bars))
    busy = rng.gamma(1.0, trades, bars)
    traded = rng.random((bars, points)) < (busy / points)[:, None]
    at = np.where(traded, paths * (1 + rng.normal(0, apart, (bars, points)) * np.sqrt(wild)[:, None]), np.nan)
    is_silent = ~traded.any(axis=1)
    firsts = np.argmax(traded, axis=1)
    lasts = points - 1 - np.argmax(traded[:, ::-1], axis=1)
    row = np.arange(bars)
    filled = pd.DataFrame(
        {
            "open": at[row, firsts],
            "high": np.fmax.reduce(at, axis=1),
            "low": np.fmin.reduce(at, axis=1),
            "close": at[row, lasts],
        }
    )
    last = filled["close"].ffill().fillna(100.0)
    thin = filled.apply(lambda column: column.fillna(last))
    thin = thin.assign(volume=np.where(is_silent, 0.0, traded.sum(axis=1) * 3.0))
    thin = thin.assign(open_ms=liquid["open_ms"], quote_volume=np.nan)[CANDLE_COLUMNS]
    return liquid, thin


def _bars_of(paths: NDArray[np.float64], step_ms: int) -> pd.DataFrame:
    columns = {"open": paths[:, 0], "high": paths.max(axis=1), "low": paths.min(axis=1), "close": paths[:, -1]}
    open_ms = T0 + step_ms * np.arange(len(paths))
    return pd.DataFrame({"open_ms": open_ms, **columns, "volume": 1.0, "quote_volume": np.nan})[CANDLE_COLUMNS]

"""Made-up markets for comparing candles, and the other venues and faults that they can have."""

from __future__ import annotations

import numpy as np
import pandas as pd

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

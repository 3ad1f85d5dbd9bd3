"""The candles that ``find_corruptions.py`` corrupts, and the five ways it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd  # noqa: TID253
from numpy.typing import NDArray

from backfill.domain.candle_columns import CANDLE_COLUMNS, PRICES
from backfill.domain.next_timeframe import COMPARED, aggregate
from backfill.domain.timeframes import DAY_MS, Timeframe, timeframe
from backfill.paper.candle_files import find_files, read_candles
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.market import Candles
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venue_market import PaperListing, VenueMarket

VALUES = CANDLE_COLUMNS[1:]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """One venue's candles ``true``, its own longer bars, and another venue's candles of the same instrument."""

    title: str
    true: pd.DataFrame
    bar: Timeframe
    longer: pd.DataFrame
    longer_bar: Timeframe
    other: pd.DataFrame | None
    other_bar: Timeframe


# The series; its longer bars, or the timeframe to add it up to where none are published here; another venue's.
REAL = [
    ("binance__ETH-USDT-PERP__1m__20250504", "5m", "bybit__ETH-USDT-PERP__15m"),
    ("binance__DOT-USDT-PERP__1m__202511", "5m", None),
    ("binance__ALGO-USDT-PERP__1m__202409", "5m", None),
    ("binance__FIL-USDT-PERP__1m__202410", "5m", None),
    ("okx__BTC-USDT-PERP__1m", "5m", "binance__BTC-USDT-PERP__5m__20251226"),
    ("binance__BTC-USDT-PERP__5m__20251226", "binance__BTC-USDT-PERP__15m__20251226", "okx__BTC-USDT-PERP__1m"),
    ("bybit__BTC-USDT-PERP__15m", "bybit__BTC-USDT-PERP__1h", "binance__BTC-USDT-PERP__15m__20241001"),
]


def cases(market: Path) -> Iterator[Case]:
    """Those of the folder's real candles; without it, one of candles that are made up."""
    if not market.is_dir():
        print(f"{market} is not there: the candles are made up")
        yield _synthetic()
        return
    for name, longer, other in REAL:
        true, bar = _read(market, name), _bar(name)
        published = "__" in longer
        longer_bar = _bar(longer) if published else timeframe(longer)
        made = "as published" if published else "added up"
        yield Case(
            title=f"{name}: {len(true):,} bars; its own {longer_bar.name} {made}",
            true=true,
            bar=bar,
            longer=_read(market, longer) if published else aggregate(true, longer_bar)[CANDLE_COLUMNS],
            longer_bar=longer_bar,
            other=_read(market, other) if other else None,
            other_bar=_bar(other) if other else bar,
        )


def _read(market: Path, name: str) -> pd.DataFrame:
    return _frame(read_candles(*find_files(market, name)))


def _bar(name: str) -> Timeframe:
    return timeframe(name.split("__")[2])


def _frame(bars: Candles) -> pd.DataFrame:
    return pd.DataFrame({name: bars["base_volume" if name == "volume" else name] for name in CANDLE_COLUMNS})


def _synthetic() -> Case:
    coin = LIQUID_COINS[0].instrument
    primary = SyntheticMarket(quiet_share=0.01)
    venue = VenueMarket(primary, "other", [PaperListing(coin, of=coin.symbol, volume_share=0.5)], difference_bp=0.3)
    span = (20_000 * DAY_MS, 20_030 * DAY_MS)
    true = _frame(primary.candles(coin.symbol, "1m", *span))
    return Case(
        title=f"synthetic {coin.symbol} 1m: {len(true):,} bars; its own 5m as published",
        true=true,
        bar=timeframe("1m"),
        longer=_frame(primary.candles(coin.symbol, "5m", *span)),
        longer_bar=timeframe("5m"),
        other=_frame(venue.candles(coin.symbol, "1m", *span)),
        other_bar=timeframe("1m"),
    )


def scaled(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """All prices times 1.05."""
    wrong = true.copy()
    wrong.loc[at, PRICES] *= 1.05
    return wrong


def shifted(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """The values of the bar before."""
    wrong = true.copy()
    wrong.loc[at, VALUES] = true.loc[at - 1, VALUES].to_numpy()
    return wrong


def swapped(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """High for low, low for high."""
    wrong = true.copy()
    wrong.loc[at, ["high", "low"]] = true.loc[at, ["low", "high"]].to_numpy()
    return wrong


def zeroed(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """Nothing but zeros."""
    wrong = true.copy()
    wrong.loc[at, VALUES] = 0.0
    return wrong


def duplicated(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """A second row of the same open time, with the values of the bar before."""
    return pd.concat([true, shifted(true, at).loc[at]], ignore_index=True)


CORRUPTIONS: tuple[Callable[[pd.DataFrame, Places], pd.DataFrame], ...] = (
    scaled,
    shifted,
    swapped,
    zeroed,
    duplicated,
)


def same(told: pd.DataFrame, true: pd.DataFrame) -> Mask:
    """Which rows of two frames of equal length say the same, but for float noise."""
    return np.isclose(told[COMPARED], true[COMPARED], rtol=1e-9, atol=0).all(axis=1)

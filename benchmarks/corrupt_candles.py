"""The candles that ``find_corruptions.py`` corrupts, and the sixteen ways it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd  # noqa: TID253
from numpy.typing import NDArray

from backfill.domain.candle_columns import CANDLE_COLUMNS, PRICES
from backfill.domain.next_timeframe import COMPARED, aggregate
from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe, timeframe
from backfill.paper.candle_files import find_files, read_candles
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.market import Candles
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venue_market import PaperListing, VenueMarket

VALUES = CANDLE_COLUMNS[1:]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]
Corruption = Callable[[pd.DataFrame, Places], pd.DataFrame]


@dataclass(frozen=True)
class Case:
    """One venue's candles ``true``, its own longer bars, and another venue's candles; None: there are none.

    ``other`` is at the timeframe of ``true``.
    """

    title: str
    true: pd.DataFrame
    bar: Timeframe
    longer: pd.DataFrame | None
    longer_bar: Timeframe
    other: pd.DataFrame | None

    def without(self, *, longer: bool, other: bool) -> Case:
        """The same candles with less to compare them with."""
        has = f"longer bars: {'yes' if longer else 'no'}, second venue: {'yes' if other else 'no'}"
        return replace(
            self,
            title=f"{self.title}; {has}",
            longer=self.longer if longer else None,
            other=self.other if other else None,
        )


class Thin(NamedTuple):
    """A real series of minutes, beside a venue that trades ``trades`` times a bar within ``apart`` of its price."""

    name: str
    trades: float
    apart: float
    tells_quote_volume: bool


# One liquid pair: every bar of the first opens where the last closed. Of the thin ones only the first side is real.
LIQUID = ("bybit__ETH-USDT-PERP__15m", "binance__ETH-USDT-PERP__1m__20250504", "15m", "1h")
THIN = (
    Thin("binance__ALGO-USDT-PERP__1m__202409", 8.0, 5e-4, tells_quote_volume=False),
    Thin("binance__FIL-USDT-PERP__1m__202410", 3.0, 5e-4, tells_quote_volume=True),
    Thin("kucoin__BAX-USDT__1m", 1.5, 10e-4, tells_quote_volume=False),
)


def cases(market: Path) -> Iterator[Case]:
    """A liquid pair and three thin ones, of the folder's candles; without it, of candles that are made up."""
    if market.is_dir():
        stored, other, at, longer = LIQUID
        here, there = _read(market, stored), _added_up(_read(market, other), _bar(other), timeframe(at))
        here = here[here["open_ms"].between(there["open_ms"].min(), there["open_ms"].max())].reset_index(drop=True)
        yield _case(f"liquid: {stored} beside {other}", here, timeframe(at), timeframe(longer), there)
    else:
        print(f"{market} is not there: the candles are made up")
        yield _synthetic()
    for number, thin in enumerate(THIN):
        minutes = _read(market, thin.name) if market.is_dir() else _walk(number)
        fives = _added_up(minutes, timeframe("1m"), timeframe("5m"))
        if thin.tells_quote_volume:
            fives["quote_volume"] = (fives["volume"] * fives[PRICES].mean(axis=1)).round(2)
        there = _seldom_traded(minutes, thin, seed=number)
        title = f"thin: {thin.name} added up to 5m, beside one of {thin.trades:g} trades a bar"
        title += ", with quote volumes" if thin.tells_quote_volume else ""
        yield _case(title, fives, timeframe("5m"), timeframe("15m"), there)


def _case(title: str, true: pd.DataFrame, bar: Timeframe, longer: Timeframe, other: pd.DataFrame) -> Case:
    return Case(title, true, bar, aggregate(true, longer)[CANDLE_COLUMNS], longer, other)


def _added_up(candles: pd.DataFrame, bar: Timeframe, at: Timeframe) -> pd.DataFrame:
    """Without the bars of which some are missing."""
    summed = aggregate(candles, at)
    return summed.loc[summed["bars"] == at.step_ms // bar.step_ms, CANDLE_COLUMNS].reset_index(drop=True)


def _seldom_traded(minutes: pd.DataFrame, thin: Thin, seed: int) -> pd.DataFrame:
    """5m bars of a venue that trades at some of the moments of a minute: its open, high, low and close."""
    rng = np.random.default_rng(seed)
    moments = minutes[PRICES].to_numpy().ravel()
    fives = minutes["open_ms"].to_numpy().repeat(len(PRICES)) // (5 * MINUTE_MS) * (5 * MINUTE_MS)
    busy = pd.Series(rng.gamma(1.5, thin.trades / 1.5, len(minutes) // 5 + 2)).repeat(5 * len(PRICES))
    traded = rng.random(len(moments)) < busy.to_numpy()[: len(moments)] / (5 * len(PRICES))
    prices = pd.Series(moments * (1 + rng.normal(0, thin.apart, len(moments))))[traded]
    bars = prices.groupby(fives[traded]).agg(["first", "max", "min", "last", "size"])
    bars = bars.reindex(np.unique(fives))
    last = bars["last"].ffill().bfill()
    columns = {
        name: bars[of].fillna(last).to_numpy() for name, of in zip(PRICES, ("first", "max", "min", "last"), strict=True)
    }
    volume = bars["size"].fillna(0).to_numpy() * 2.5
    return pd.DataFrame({"open_ms": bars.index.to_numpy(), **columns, "volume": volume, "quote_volume": np.nan})


def _walk(seed: int) -> pd.DataFrame:
    """A month of minutes with a tick of 3 bp that do not open where the last closed."""
    rng = np.random.default_rng(seed)
    bars, points = 30 * 1440, 8
    path = 3 * np.exp(np.cumsum(rng.standard_t(4, bars * points) * 2e-4)).reshape(bars, points)
    path = path.round(3)
    columns = {"open": path[:, 0], "high": path.max(axis=1), "low": path.min(axis=1), "close": path[:, -1]}
    open_ms = 20_000 * DAY_MS + MINUTE_MS * np.arange(bars)
    return pd.DataFrame(
        {"open_ms": open_ms, **columns, "volume": rng.gamma(2, 9, bars).round(1), "quote_volume": np.nan}
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
    span = (20_000 * DAY_MS, 20_060 * DAY_MS)
    true, other = (_frame(at.candles(coin.symbol, "15m", *span)) for at in (primary, venue))
    title = f"liquid: synthetic {coin.symbol} 15m beside another"
    return _case(title, true, timeframe("15m"), timeframe("1h"), other)


# -- what is done to single bars


def _times(factor: float) -> Corruption:
    """All prices times a factor."""

    def corrupt(true: pd.DataFrame, at: Places) -> pd.DataFrame:
        return _with(true, at, **{name: true.loc[at, name] * factor for name in PRICES})

    return corrupt


def _of_column(name: str, factor: float) -> Corruption:
    def corrupt(true: pd.DataFrame, at: Places) -> pd.DataFrame:
        return _with(true, at, **{name: true.loc[at, name] * factor})

    return corrupt


def _with(true: pd.DataFrame, at: Places, **columns: pd.Series) -> pd.DataFrame:
    wrong = true.copy()
    for name, values in columns.items():
        wrong.loc[at, name] = np.asarray(values)
    return wrong


def _shifted(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """The values of the bar before."""
    return _earlier(true, at, 1)


def _earlier(true: pd.DataFrame, at: Places, bars: int) -> pd.DataFrame:
    wrong = true.copy()
    wrong.loc[at, VALUES] = true.loc[np.maximum(at - bars, 0), VALUES].to_numpy()
    return wrong


def _swapped(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """High for low, low for high."""
    return _with(true, at, high=true.loc[at, "low"], low=true.loc[at, "high"])


def _stuck(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """All prices are the last close."""
    return _with(true, at, **dict.fromkeys(PRICES, true.loc[at - 1, "close"]))


def _digits_swapped(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """The close with its third and fourth digits swapped."""

    def swap(price: float) -> float:
        digits, exponent = f"{price:.7e}".split("e")
        return float(f"{digits[:3]}{digits[4]}{digits[3]}{digits[5:]}e{exponent}")

    return _with(true, at, close=true.loc[at, "close"].map(swap))


def _duplicated(true: pd.DataFrame, at: Places) -> pd.DataFrame:
    """A second row of the same open time, with the values of the bar before."""
    return pd.concat([true, _shifted(true, at).loc[at]], ignore_index=True)


# -- what is done to stretches


def _ago(ms: int) -> Corruption:
    """The values of so long ago."""

    def corrupt(true: pd.DataFrame, at: Places) -> pd.DataFrame:
        return _earlier(true, at, ms // int(true["open_ms"].diff().min()))

    return corrupt


CORRUPTIONS: dict[str, Corruption] = {
    "x 1.05": _times(1.05),
    "x 1.01": _times(1.01),
    "x 1.002": _times(1.002),
    "shifted": _shifted,
    "high for low": _swapped,
    "no volume": _of_column("volume", 0.0),
    "volume x 10": _of_column("volume", 10.0),
    "decimal slip": _times(0.1),
    "stuck": _stuck,
    "digits swapped": _digits_swapped,
    "close +0.1 %": _of_column("close", 1.001),
    "high +3 %": _of_column("high", 1.03),
    "duplicated": _duplicated,
}
STRETCHES: dict[str, Corruption] = {
    "hour shift": _ago(HOUR_MS),
    "day shift": _ago(DAY_MS),
    "+0.3 % for hours": _times(1.003),
}
STRETCH_BARS = 24


def stretches(at: Places, bars: int) -> Places:
    """As many bars, in stretches that begin at some of the places."""
    starts = at[:: STRETCH_BARS * 2]
    starts = starts[(starts > 300) & (starts < bars - STRETCH_BARS)]
    return np.unique((starts[:, None] + np.arange(STRETCH_BARS)).ravel())


def same(told: pd.DataFrame, true: pd.DataFrame) -> Mask:
    """Which rows of two frames of equal length say the same, but for float noise."""
    return np.isclose(told[COMPARED], true[COMPARED], rtol=1e-9, atol=0).all(axis=1)

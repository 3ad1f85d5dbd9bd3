"""What a candle must be before it may be stored.

A rule takes an unchecked frame (``backfill.frames.candle_frame``) and its timeframe and gives the mask of bad
rows. Its name is what the quarantine says. A row is reported under the first rule it breaks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from backfill.domain.timeframes import Timeframe
from backfill.frames.candle_frame import CANDLE_COLUMNS, PRICES, VOLUMES

Rule = Callable[[pd.DataFrame, Timeframe], pd.Series]


class BrokenRow(NamedTuple):
    """A row that may not be stored: its place in the answer, its open time if it has one, and the rule."""

    place: int
    open_ms: int | None
    rule: str


def field_is_malformed(candles: pd.DataFrame, timeframe: Timeframe) -> pd.Series:
    return candles["malformed"]


def open_time_is_missing(candles: pd.DataFrame, timeframe: Timeframe) -> pd.Series:
    return candles["open_ms"].isna()


def open_time_is_off_the_grid(candles: pd.DataFrame, timeframe: Timeframe) -> pd.Series:
    return (candles["open_ms"] - timeframe.anchor_ms) % timeframe.step_ms != 0


def price_is_missing(candles: pd.DataFrame, timeframe: Timeframe) -> pd.Series:
    return candles[PRICES].isna().any(axis=1)


def price_is_not_positive(candles: pd.DataFrame, timeframe: Timeframe) -> pd.Series:
    return (candles[PRICES] <= 0).any(axis=1)


def high_is_not_highest(candles: pd.DataFrame, timeframe: Timeframe) -> pd.Series:
    return candles["high"] < candles[["open", "low", "close"]].max(axis=1)


def low_is_not_lowest(candles: pd.DataFrame, timeframe: Timeframe) -> pd.Series:
    return candles["low"] > candles[["open", "high", "close"]].min(axis=1)


def volume_is_negative(candles: pd.DataFrame, timeframe: Timeframe) -> pd.Series:
    return (candles[VOLUMES] < 0).any(axis=1)


def open_time_is_told_twice(candles: pd.DataFrame, timeframe: Timeframe) -> pd.Series:
    """Rows of one bar that differ: nobody can say which is right. Equal ones are one row, said twice."""
    once = candles.drop_duplicates(CANDLE_COLUMNS)
    contested = once.loc[once["open_ms"].duplicated(keep=False), "open_ms"]
    return candles["open_ms"].isin(contested)


RULES: tuple[Rule, ...] = (
    field_is_malformed,
    open_time_is_missing,
    open_time_is_off_the_grid,
    price_is_missing,
    price_is_not_positive,
    high_is_not_highest,
    low_is_not_lowest,
    volume_is_negative,
    open_time_is_told_twice,
)


def sift(candles: pd.DataFrame, timeframe: Timeframe) -> tuple[pd.DataFrame, list[BrokenRow]]:
    """The sound rows (oldest first, each bar once, ``open_ms`` as int64) and the broken ones."""
    broken: list[BrokenRow] = []
    sound = candles
    for rule in RULES:
        bad = rule(sound, timeframe)
        if bad.any():
            broken += [_broken_row(place, open_ms, rule) for place, open_ms in sound.loc[bad, "open_ms"].items()]
            sound = sound[~bad]
    sound = sound.drop_duplicates("open_ms").sort_values("open_ms", ignore_index=True)
    return sound.astype({"open_ms": "int64"}), broken


def _broken_row(place: object, open_ms: float, rule: Rule) -> BrokenRow:
    return BrokenRow(int(str(place)), None if pd.isna(open_ms) else int(open_ms), rule.__name__)

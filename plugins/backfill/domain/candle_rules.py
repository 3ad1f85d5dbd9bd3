"""What a candle must be before it may be stored.

A rule takes an unchecked frame and what was asked for, and gives the mask of bad rows. Its name is what the quarantine
says. A row is reported under the first rule it breaks.

Every source's answers have rows older than the page, equal repetitions and running bars: these break no rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from backfill.domain.candle_columns import CANDLE_COLUMNS, PRICES, VOLUMES
from backfill.domain.timeframes import Timeframe

# The answer's clock has whole seconds, and another machine makes the bars.
CLOCK_SLACK_MS = 60_000
# Far outside of any market, and far inside of what a float can hold.
SMALLEST, LARGEST = 1e-50, 1e50


class Asked(NamedTuple):
    """What a page was asked for, in ms: bars that open before ``before_ms``, at ``now_ms`` by the source's clock.

    Infinite ``before_ms``: a page of this source may hold newer bars too. Infinite ``now_ms``: the time is unknown.
    """

    timeframe: Timeframe
    before_ms: float = math.inf
    now_ms: float = math.inf


Rule = Callable[[pd.DataFrame, Asked], pd.Series]


class BrokenRow(NamedTuple):
    """A row that may not be stored: its place in the answer, its open time if it has one, and the rule."""

    place: int
    open_ms: int | None
    rule: str


def field_is_malformed(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """A field is there but is not what it should be."""
    return candles["malformed"]


def number_is_not_finite(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """No source sends such a number (it would be malformed), but scaling can make one."""
    return candles[CANDLE_COLUMNS].abs().max(axis=1) == math.inf


def number_is_absurd(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Once stored it would break comparisons: Postgres raises an error where a product under- or overflows."""
    size = candles[PRICES + VOLUMES].abs()
    return ((size > LARGEST) | ((size < SMALLEST) & (size != 0))).any(axis=1)


def open_time_is_missing(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """It has no open time."""
    return candles["open_ms"].isna()


def open_time_is_off_the_grid(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Its open time is none of the timeframe's."""
    return (candles["open_ms"] - asked.timeframe.anchor_ms) % asked.timeframe.step_ms != 0


def open_time_is_in_the_future(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """A bar that has not opened yet has no prices, whatever it says of being closed."""
    return candles["open_ms"] > asked.now_ms + CLOCK_SLACK_MS


def price_is_missing(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """A price is blank."""
    return candles[PRICES].isna().any(axis=1)


def price_is_not_positive(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """A price is zero or negative."""
    return (candles[PRICES] <= 0).any(axis=1)


def high_is_not_highest(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Another price is above the high."""
    return candles["high"] < candles[["open", "low", "close"]].max(axis=1)


def low_is_not_lowest(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Another price is below the low."""
    return candles["low"] > candles[["open", "high", "close"]].min(axis=1)


def volume_is_missing(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Every source gives the base volume; not every one gives the quote volume."""
    return candles["volume"].isna()


def volume_is_negative(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """A volume is below zero."""
    return (candles[VOLUMES] < 0).any(axis=1)


def open_time_was_not_asked_for(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """At the cursor or past it: the source has answered another question."""
    return candles["open_ms"] >= asked.before_ms


def open_time_is_told_twice(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Rows of one bar that differ: either could be right. Equal ones are one row, sent twice."""
    once = candles.drop_duplicates([*CANDLE_COLUMNS, "closed"])
    contested = once.loc[once["open_ms"].duplicated(keep=False), "open_ms"]
    return candles["open_ms"].isin(contested)


RULES: tuple[Rule, ...] = (
    field_is_malformed,
    number_is_not_finite,
    number_is_absurd,
    open_time_is_missing,
    open_time_is_off_the_grid,
    open_time_is_in_the_future,
    price_is_missing,
    price_is_not_positive,
    high_is_not_highest,
    low_is_not_lowest,
    volume_is_missing,
    volume_is_negative,
    open_time_was_not_asked_for,
    open_time_is_told_twice,
)


def sift(
    candles: pd.DataFrame, timeframe: Timeframe, before_ms: float = math.inf, now_ms: float = math.inf
) -> tuple[pd.DataFrame, list[BrokenRow]]:
    """The sound rows (oldest first, each bar once, ``open_ms`` as int64) and the broken ones; see :class:`Asked`."""
    asked = Asked(timeframe, before_ms, now_ms)
    broken: list[BrokenRow] = []
    sound = candles
    for rule in RULES:
        bad = rule(sound, asked)
        if bad.any():
            broken += [_broken_row(place, open_ms, rule) for place, open_ms in sound.loc[bad, "open_ms"].items()]
            sound = sound[~bad]
    sound = sound.drop_duplicates("open_ms").sort_values("open_ms", ignore_index=True)
    return sound.astype({"open_ms": "int64"}), broken


def _broken_row(place: object, open_ms: float, rule: Rule) -> BrokenRow:
    return BrokenRow(int(str(place)), None if pd.isna(open_ms) else int(open_ms), rule.__name__)

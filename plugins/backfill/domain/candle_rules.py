"""What a candle must satisfy before it may be stored.

A rule returns the mask of bad rows; a row is quarantined under the first rule it breaks. Rows older than the page,
equal repetitions and running bars break none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from backfill.domain.candle_columns import CANDLE_COLUMNS, PRICES, VOLUMES
from backfill.domain.timeframes import Timeframe

# The server's clock has whole seconds; another machine makes the bars.
CLOCK_SLACK_MS = 60_000
# Far outside any market, within a float's range.
SMALLEST, LARGEST = 1e-50, 1e50


class Asked(NamedTuple):
    """What was asked, in ms: bars that open before ``before_ms``, at ``now_ms`` by the source's clock.

    Infinite means no bound, or an unknown time.
    """

    timeframe: Timeframe
    before_ms: float = math.inf
    now_ms: float = math.inf


Rule = Callable[[pd.DataFrame, Asked], pd.Series]


class BrokenRow(NamedTuple):
    """A rejected row: place in the answer, open time if any, rule."""

    place: int
    open_ms: int | None
    rule: str


def field_is_malformed(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """A field is no valid number or time."""
    return candles["malformed"]


def number_is_not_finite(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Scaling can produce such a number."""
    return candles[CANDLE_COLUMNS].abs().max(axis=1) == math.inf


def number_is_absurd(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Products of such numbers would raise an error in Postgres."""
    size = candles[PRICES + VOLUMES].abs()
    return ((size > LARGEST) | ((size < SMALLEST) & (size != 0))).any(axis=1)


def open_time_is_missing(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    return candles["open_ms"].isna()


def open_time_is_off_the_grid(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """No bar opens then."""
    return (candles["open_ms"] - asked.timeframe.anchor_ms) % asked.timeframe.step_ms != 0


def open_time_is_in_the_future(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """The bar has not opened, even if marked closed."""
    return candles["open_ms"] > asked.now_ms + CLOCK_SLACK_MS


def price_is_missing(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    return candles[PRICES].isna().any(axis=1)


def price_is_not_positive(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    return (candles[PRICES] <= 0).any(axis=1)


def high_is_not_highest(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    return candles["high"] < candles[["open", "low", "close"]].max(axis=1)


def low_is_not_lowest(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    return candles["low"] > candles[["open", "high", "close"]].min(axis=1)


def volume_is_missing(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Every source gives the base volume."""
    return candles["volume"].isna()


def volume_is_negative(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    return (candles[VOLUMES] < 0).any(axis=1)


def open_time_was_not_asked_for(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """The row is at or after the cursor."""
    return candles["open_ms"] >= asked.before_ms


def open_time_is_told_twice(candles: pd.DataFrame, asked: Asked) -> pd.Series:
    """Rows of one bar differ: either could be right."""
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
    """The sound rows (oldest first, unique, ``open_ms`` int64) and the broken ones; see :class:`Asked`."""
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

"""What a candle must satisfy before it may be stored.

A rule returns the mask of bad rows; a row is quarantined under the first rule it breaks. Rows older than the page,
equal repetitions and running bars break none.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backfill.domain.candle_columns import CANDLE_COLUMNS, PRICES, VOLUMES, CandleColumns, CandleFrame, same_rows
from backfill.domain.timeframes import Timeframe

# The server's clock has whole seconds; another machine makes the bars.
CLOCK_SLACK_MS = 60_000
# Far outside any market, within a float's range.
SMALLEST, LARGEST = 1e-50, 1e50


class Asked(NamedTuple):
    """What was asked, in ms: bars that open before ``before_ms``, at ``now_ms`` by the source's clock.

    Infinite: no bound, or an unknown time. ``has_volume``: false for mark and index prices.
    """

    timeframe: Timeframe
    before_ms: float = math.inf
    now_ms: float = math.inf
    has_volume: bool = True


Mask = NDArray[np.bool_]
Rule = Callable[[CandleColumns, Asked], Mask]


class BrokenRow(NamedTuple):
    """A rejected row: place in the answer, open time if any, rule."""

    place: int
    open_ms: int | None
    rule: str


def field_is_malformed(candles: CandleColumns, asked: Asked) -> Mask:
    """A field is no valid number or time."""
    return np.asarray(candles["malformed"], dtype=bool)


def number_is_not_finite(candles: CandleColumns, asked: Asked) -> Mask:
    """Scaling can produce such a number."""
    return _any(np.isinf(column) for column in _columns(candles, CANDLE_COLUMNS))


def number_is_absurd(candles: CandleColumns, asked: Asked) -> Mask:
    """Products of such numbers would raise an error in Postgres."""
    sizes = [np.abs(column) for column in _columns(candles, PRICES + VOLUMES)]
    return _any((size > LARGEST) | ((size < SMALLEST) & (size != 0)) for size in sizes)


def open_time_is_missing(candles: CandleColumns, asked: Asked) -> Mask:
    return np.isnan(_column(candles, "open_ms"))


def open_time_is_off_the_grid(candles: CandleColumns, asked: Asked) -> Mask:
    """No bar opens then."""
    since_anchor_ms = _column(candles, "open_ms") - asked.timeframe.anchor_ms
    return np.not_equal(since_anchor_ms % asked.timeframe.step_ms, 0)


def open_time_is_in_the_future(candles: CandleColumns, asked: Asked) -> Mask:
    """The bar has not opened, even if marked closed."""
    return _column(candles, "open_ms") > asked.now_ms + CLOCK_SLACK_MS


def price_is_missing(candles: CandleColumns, asked: Asked) -> Mask:
    return _any(np.isnan(column) for column in _columns(candles, PRICES))


def price_is_not_positive(candles: CandleColumns, asked: Asked) -> Mask:
    return _any(column <= 0 for column in _columns(candles, PRICES))


def high_is_not_highest(candles: CandleColumns, asked: Asked) -> Mask:
    high, *others = _columns(candles, ["high", "open", "low", "close"])
    return _any(other > high for other in others)


def low_is_not_lowest(candles: CandleColumns, asked: Asked) -> Mask:
    low, *others = _columns(candles, ["low", "open", "high", "close"])
    return _any(other < low for other in others)


def volume_is_missing(candles: CandleColumns, asked: Asked) -> Mask:
    """Every source gives the base volume of trades."""
    return np.isnan(_column(candles, "volume")) & asked.has_volume


def volume_is_negative(candles: CandleColumns, asked: Asked) -> Mask:
    return _any(column < 0 for column in _columns(candles, VOLUMES))


def open_time_was_not_asked_for(candles: CandleColumns, asked: Asked) -> Mask:
    """The row is at or after the cursor."""
    return _column(candles, "open_ms") >= asked.before_ms


def open_time_is_told_twice(candles: CandleColumns, asked: Asked) -> Mask:
    """Rows of one bar differ: either could be right."""
    open_ms, closed = _columns(candles, ["open_ms", "closed"])
    _, first, bar = np.unique(open_ms, return_index=True, return_inverse=True)
    if len(first) == len(open_ms):
        return np.zeros(len(open_ms), dtype=bool)
    frame = CandleFrame.of(candles)
    first_of_bar = first[bar.ravel()]
    differs = ~same_rows(frame, frame.rows(first_of_bar)) | (closed != closed[first_of_bar])
    return np.isin(open_ms, open_ms[differs])


def _column(candles: CandleColumns, name: str) -> NDArray[np.float64]:
    return np.asarray(candles[name], dtype=np.float64)


def _columns(candles: CandleColumns, names: Sequence[str]) -> list[NDArray[np.float64]]:
    return [_column(candles, name) for name in names]


def _any(masks: Iterable[Mask]) -> Mask:
    whole: Mask = functools.reduce(operator.or_, masks)
    return whole


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
    candles: CandleFrame,
    timeframe: Timeframe,
    before_ms: float = math.inf,
    now_ms: float = math.inf,
    *,
    has_volume: bool = True,
) -> tuple[CandleFrame, list[BrokenRow]]:
    """The sound rows and the broken ones; see :class:`Asked`.

    The sound ones are the oldest first, unique, with ``open_ms`` as int64 and their ``place``.
    """
    asked = Asked(timeframe, before_ms, now_ms, has_volume)
    broken: list[BrokenRow] = []
    sound, places = candles, np.arange(len(candles))
    for rule in RULES:
        bad = rule(sound, asked)
        if bad.any():
            broken += map(_broken_row, places[bad].tolist(), sound["open_ms"][bad].tolist(), repeat(rule.__name__))
            sound, places = sound.rows(~bad), places[~bad]
    open_ms, first = np.unique(sound["open_ms"], return_index=True)
    return sound.rows(first).with_columns(open_ms=open_ms.astype(np.int64), place=places[first]), broken


def _broken_row(place: int, open_ms: float, rule: str) -> BrokenRow:
    return BrokenRow(place, None if math.isnan(open_ms) else int(open_ms), rule)

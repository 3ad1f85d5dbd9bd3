"""Splits: which prices are requested, and how a rescaled series is noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backfill.domain.candle_columns import PRICES
from backfill.domain.timeframes import utc

ADJUSTED, RAW = "adjusted", "raw"
# Fewer common bars show nothing: a shorter series is on one page, replaced as a whole anyway.
FEWEST_BARS = 10
# A ratio is constant if bars differ from it by less than this share of its logarithm. Rounding to the tick may take up
# that much: below a price of 20 ticks / log(ratio) no split is seen.
SPREAD = 0.1
# The smallest in use are stock dividends of 2 %; of a hundred bars one may have been corrected.
LEAST_LOG, MOST_OTHERS = 0.015, 0.01
LARGEST_PART = 1000


class Split(NamedTuple):
    """``ratio`` new shares for one old. Bars that open at ``after_ms`` are before it, at ``until_ms`` not."""

    ratio: float
    after_ms: int
    until_ms: int

    def __str__(self) -> str:
        said = Fraction(self.ratio).limit_denominator(LARGEST_PART)
        first, last = utc(self.after_ms), utc(self.until_ms)
        return f"{said.numerator}:{said.denominator} between {first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC"

    def explains(self, before_ms: int, open_ms: int, log_change: float, bound: float) -> bool:
        """Whether a change of price between two bars is this split's, with a rest within ``bound``."""
        is_then = before_ms < self.until_ms and open_ms > self.after_ms
        return is_then and abs(log_change + float(np.log(self.ratio))) <= bound


def rescaled(stored: Mapping[str, Any], given: Mapping[str, Any], until_ms: int) -> Split | None:
    """The split between stored bars and the same ones as given now, both oldest first; None: no constant ratio.

    All common bars up to a moment must differ by it, none after. ``until_ms``: the split is not later.
    """
    open_ms, ours, theirs = np.intersect1d(stored["open_ms"], given["open_ms"], assume_unique=True, return_indices=True)
    if len(open_ms) < FEWEST_BARS:
        return None
    changes = _log_ratios(stored, ours, given, theirs)
    usual = float(np.median(changes[:FEWEST_BARS]))
    if not abs(usual) >= LEAST_LOG:  # NaN too
        return None
    near = SPREAD * abs(usual)
    is_moved, is_same = np.abs(changes - usual) < near, np.abs(changes) < near
    past = int(is_moved.nonzero()[0][-1]) + 1 if is_moved.any() else 0
    others = past - int(is_moved[:past].sum()) + int((~is_same[past:]).sum())
    if int(is_moved.sum()) < FEWEST_BARS or others > MOST_OTHERS * len(open_ms):
        return None
    ratio = float(np.exp(np.median(changes[:past])))
    said = Fraction(ratio).limit_denominator(20)
    if abs(np.log(float(said) / ratio)) < near / 10:
        ratio = float(said)
    return Split(ratio, int(open_ms[past - 1]), int(open_ms[past]) if past < len(open_ms) else until_ms)


def _log_ratios(
    stored: Mapping[str, Any], ours: NDArray[np.intp], given: Mapping[str, Any], theirs: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Of each bar the median of its four prices."""
    ratios = [np.log(np.asarray(stored[name])[ours] / np.asarray(given[name])[theirs]) for name in PRICES]
    change: NDArray[np.float64] = np.median(np.array(ratios), axis=0)
    return change


def explained(splits: Sequence[Split], before_ms: int, open_ms: int, log_change: float, bound: float) -> bool:
    """Whether a split explains a change of price."""
    return any(one.explains(before_ms, open_ms, log_change, bound) for one in splits)

"""Bars of a mark or index price that stray from the instrument's other prices, by what their own basis shows.

Mark, index and trades of a perpetual are apart by a basis that moves slowly. From its medians in the bars before and
after, and anything between, a bar may depart by

    TIMES_NOISE * noise * activity + RANGES * (how much wider the other price's bar is than usual)

Noise is a quantile of the pair's own departures, of each price and of their mean (the level), which shows a bar that is
wrong as a whole; activity is how wide the other price's bars around are. The bar's own range widens nothing. A basis
that moves and stays is followed; so is a fault that lasts for more than half of :data:`BESIDE` bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backfill.domain.agreement import in_common, tick_of
from backfill.domain.candle_columns import PRICES

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

# Bars before and after, and the fewest that show the usual.
BESIDE, FEWEST_BARS = 30, 240
# Of 107,620 bars of 18 real pairs of two venues' trades 24 depart further; faults of 0.2 to 0.8 % of a whole bar show.
NOISE_QUANTILE, TIMES_NOISE, RANGES = 0.9, 8.0, 0.25
MOST_ACTIVITY = 10.0
# Share of faults of size `resolves` that are found.
POWER = 0.99
HIGH, LOW = PRICES.index("high"), PRICES.index("low")
COLUMNS = ["open_ms", "field", "stored", "other", "difference", "usual", "bound"]


@dataclass(frozen=True)
class Basis:
    """``compared``: bars of both, none if too few. ``resolves``: the relative size of a fault of a whole bar that shows
    in :data:`POWER` of the bars, else NaN.

    ``strays`` has the worst field of each bar beyond ``bound``: ``difference`` is its log ratio, ``usual`` the basis.
    """

    compared: NDArray[np.int64]
    resolves: float
    strays: pd.DataFrame


def basis(candles: pd.DataFrame, other: pd.DataFrame) -> Basis:
    """Compare the bars of two prices of one instrument."""
    import pandas as pd

    both = in_common(candles, other)
    both = both.where(~both.silent & (both.stored > 0).all(axis=1) & (both.other > 0).all(axis=1))
    if len(both.open_ms) < FEWEST_BARS:
        return Basis(both.open_ms[:0], float("nan"), pd.DataFrame(columns=COLUMNS))
    apart = np.log(both.stored / both.other)
    apart = np.column_stack((apart, apart.mean(axis=1)))
    before, after = _medians_beside(apart[:, -1])
    usual = np.clip(apart, np.minimum(before, after)[:, None], np.maximum(before, after)[:, None])
    departure = np.abs(apart - usual)
    ranges = np.log(both.other[:, HIGH] / both.other[:, LOW])
    around = np.maximum(*_medians_beside(ranges))
    typical = float(np.median(ranges))
    activity = (around / typical).clip(1.0, MOST_ACTIVITY) if typical > 0 else np.ones(len(ranges))
    half_tick = max(tick_of(both.stored), tick_of(both.other)) / float(np.median(both.other)) / 2
    from_middle = np.abs(apart - (before + after)[:, None] / 2)  # a drift leaves no departure
    noise = np.maximum(np.quantile(from_middle / activity[:, None], NOISE_QUANTILE, axis=0), half_tick)
    bound = TIMES_NOISE * noise * activity[:, None] + RANGES * np.maximum(ranges - around, 0.0)[:, None]
    beyond = departure / bound
    (rows,) = np.nonzero((beyond > 1).any(axis=1))
    fields = beyond[rows].argmax(axis=1)
    prices = np.column_stack((both.stored, both.stored[:, -1])), np.column_stack((both.other, both.other[:, -1]))
    names = np.array([*PRICES, PRICES[-1]], dtype=object)
    strays = {
        "open_ms": both.open_ms[rows],
        "field": names[fields],
        "stored": prices[0][rows, fields],
        "other": prices[1][rows, fields],
        "difference": apart[rows, fields],
        "usual": usual[rows, fields],
        "bound": bound[rows, fields],
    }
    resolves = float(np.quantile(departure[:, -1] + bound[:, -1], POWER))
    return Basis(both.open_ms, resolves, pd.DataFrame(strays, columns=COLUMNS))


def _medians_beside(values: Floats) -> tuple[Floats, Floats]:
    """Of the bars before each, and after it; at the ends both are the one there is."""
    import pandas as pd

    def before(these: Floats) -> Floats:
        median = pd.Series(these).rolling(BESIDE, min_periods=1).median().shift(1)
        return median.to_numpy(dtype=np.float64)

    first, last = before(values), before(values[::-1])[::-1]
    return np.where(np.isnan(first), last, first), np.where(np.isnan(last), first, last)

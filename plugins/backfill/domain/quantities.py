"""Whether a bar's two volumes fit its prices: the amount paid for a coin lies between the low and the high.

If not, base and quote volume are swapped, or one has another unit. Near a price of 1 a swap does not show and does no
harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

# Venues that sum up trades differ by rounding only, which explains no wrong unit.
EXACT, WRONG_UNIT = 1.001, 1.5
MOST_DECIMALS = 12


def unfitting(candles: pd.DataFrame, times: float = EXACT) -> NDArray[np.bool_]:
    """Mask of bars paid for at more than ``times`` their high, or less than their low by as much.

    Volumes may be rounded as their column is. An unknown volume fits; so does a column of zeros, which means unknown.
    """
    volume, quote = (candles[name].to_numpy(np.float64) for name in ("volume", "quote_volume"))
    if not (quote > 0).any():
        return np.zeros(len(candles), dtype=bool)
    low, high = (candles[name].to_numpy(np.float64) for name in ("low", "high"))
    step, quote_step = _rounded_to(volume), _rounded_to(quote)
    with np.errstate(invalid="ignore", over="ignore"):
        least = low * np.maximum(volume - step, 0) / times - quote_step
        most = high * (volume + step) * times + quote_step
        wrong: NDArray[np.bool_] = (quote < least) | (quote > most)
    return wrong


def _rounded_to(values: NDArray[np.float64]) -> float:
    """The place of the last decimal in use; 0 if only zeros are known."""
    known = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(known):
        return 0.0
    for decimals in range(MOST_DECIMALS):
        scaled = known * 10.0**decimals
        if (np.abs(scaled - np.round(scaled)) <= 1e-9 * np.maximum(scaled, 1)).all():
            break
    return float(10.0**-decimals)

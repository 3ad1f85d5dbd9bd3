"""Find rows that stand under another bar's time, by the candles that are held."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from backfill.domain.candle_columns import PRICES, CandleColumns, CandleFrame, same_rows

OPEN_TIME_OF_ANOTHER_BAR = "open_time_is_of_another_bar"


def shifted_rows(page: CandleFrame, held: CandleColumns) -> NDArray[np.bool_]:
    """Mask of the page's rows with the numbers of a held bar that the page leaves out, unless held so themselves.

    Bars of one price, and those that the series has had twice, prove nothing: others are like them.
    """
    frame = CandleFrame.of(held)
    numbers = _numbers(frame)
    times = Counter(numbers)
    proves = ~np.isin(frame["open_ms"], page["open_ms"]) & (frame["high"] > frame["low"])
    theirs = {row for row, does in zip(numbers, proves.tolist(), strict=True) if does and times[row] == 1}
    bears_theirs = np.fromiter((row in theirs for row in _numbers(page)), dtype=bool, count=len(page))
    return bears_theirs & ~held_rows(page, held)


def held_rows(page: CandleFrame, held: CandleColumns) -> NDArray[np.bool_]:
    """Mask of the page's rows that are held as they come."""
    is_held = np.zeros(len(page), dtype=bool)
    _, ours, theirs = np.intersect1d(page["open_ms"], held["open_ms"], assume_unique=True, return_indices=True)
    is_held[ours] = same_rows(page.rows(ours), CandleFrame.of(held).rows(theirs))
    return is_held


def _numbers(candles: CandleFrame) -> list[tuple[float, ...]]:
    columns = [np.nan_to_num(candles[name], nan=-1.0).tolist() for name in [*PRICES, "volume"]]
    return list(zip(*columns, strict=True))

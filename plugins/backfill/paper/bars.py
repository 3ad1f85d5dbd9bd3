"""Values in whole steps, and coarse bars from fine ones."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from backfill.domain.timeframes import Timeframe
from backfill.paper.market import CANDLE, NO_CANDLES, Candles, PaperInstrument

QUOTE_STEP = Decimal("0.0001")  # Blofin's quote volumes have four decimals


def in_steps(values: NDArray[np.float64], step: Decimal) -> NDArray[np.float64]:
    """Each value's nearest multiple of ``step``, as the nearest double."""
    numerator, denominator = step.as_integer_ratio()
    return np.rint(values * (denominator / numerator)) * numerator / denominator


def grouped(candles: Candles, bar: Timeframe, instrument: PaperInstrument) -> Candles:
    """Bars of ``bar`` from shorter ones in whole ticks and lots; sums are exact."""
    if not len(candles):
        return NO_CANDLES
    opens_ms = candles["open_ms"] - (candles["open_ms"] - bar.anchor_ms) % bar.step_ms
    firsts = np.flatnonzero(np.diff(opens_ms, prepend=opens_ms[0] - 1))
    lasts = np.append(firsts[1:], len(candles)) - 1
    bars = np.empty(len(firsts), dtype=CANDLE)
    bars["open_ms"] = opens_ms[firsts]
    bars["open"], bars["close"] = candles["open"][firsts], candles["close"][lasts]
    bars["high"] = np.maximum.reduceat(candles["high"], firsts)
    bars["low"] = np.minimum.reduceat(candles["low"], firsts)
    for column, step in (("base_volume", instrument.coin_step), ("quote_volume", QUOTE_STEP)):
        bars[column] = in_steps(np.add.reduceat(candles[column], firsts), step)
    return bars

"""Bars that do not open where the last one closed, on venues where they do.

Bybit's bars open exactly at the last close (168,000 of 168,000 here), Binance's perpetuals at the next trade, a tick or
two away; on OKX, Gate, KuCoin and Blofin they do not. So each series shows whether it can be used. A break says that
one of the two bars is wrong, not which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backfill.domain.agreement import FLOAT_NOISE, tick_of
from backfill.domain.candle_columns import PRICES
from backfill.domain.next_timeframe import is_silent

# Fewer show nothing.
FEWEST_BARS = 300
# Exact series have all bars joined, others at most 0.58 (35 series of 7 venues); a wrong bar breaks two joints.
EXACT_SHARE = 0.9
# Else 19 of 20 joints must be this close: a tick plus a share of the usual range, 0.00 ranges at venues where bars are
# joined, 0.10 at the next (Blofin).
NEAR_SHARE, NEAR_TICKS, NEAR_RANGES = 0.95, 1.05, 0.03
# Then a break is more ticks and more than a usual range around: two in 379,000 bars of such series, both at the edges
# of an archive's fake bars.
BREAK_TICKS, BREAK_RANGES = 4.0, 1.0
AROUND = 61

Floats = NDArray[np.float64]
COLUMNS = ["open_ms", "open", "close_before", "gap", "bound"]


@dataclass(frozen=True)
class Continuity:
    """``holds``: whether bars are joined; ``resolves``: the smallest relative break that shows, else NaN.

    ``breaks`` has a row per bar that opens further than ``bound`` from the close before.
    """

    holds: bool
    resolves: float
    breaks: pd.DataFrame


def continuity(candles: pd.DataFrame, step_ms: int) -> Continuity:
    """Learn whether one source's bars are joined, and where not. ``candles``: a checked frame."""
    joints = _Joints.of(candles, step_ms) if len(candles) > FEWEST_BARS else None
    bound = joints.bound() if joints and len(joints.gap) >= FEWEST_BARS else None
    if joints is None or bound is None:
        return Continuity(False, float("nan"), pd.DataFrame(columns=COLUMNS))
    broken = joints.gap > bound
    columns = (joints.open_ms, joints.open, joints.before, joints.gap, bound)
    breaks = pd.DataFrame({name: column[broken] for name, column in zip(COLUMNS, columns, strict=True)})
    return Continuity(True, float(np.quantile(bound, 0.99)), breaks)


@dataclass(frozen=True)
class _Joints:
    """Of two bars in a row that traded: after a halt a market opens anywhere."""

    open_ms: NDArray[np.int64]
    open: Floats
    before: Floats
    gap: Floats
    tick: Floats
    range: Floats

    @classmethod
    def of(cls, candles: pd.DataFrame, step_ms: int) -> _Joints:
        prices = candles[PRICES].to_numpy(np.float64)
        open_ms = candles["open_ms"].to_numpy(np.int64)
        opens, closes = prices[:, PRICES.index("open")], prices[:, PRICES.index("close")]
        high, low = prices[:, PRICES.index("high")], prices[:, PRICES.index("low")]
        follows = np.diff(open_ms, prepend=0) == step_ms
        if "source_id" in candles:
            follows &= np.diff(candles["source_id"].to_numpy(np.int64), prepend=-1) == 0
        trades = ~is_silent(candles) & (opens > 0) & (closes > 0)
        joint = np.flatnonzero(follows[1:] & trades[1:] & trades[:-1]) + 1
        ranges = pd.Series(np.log(high / low)).rolling(AROUND, center=True, min_periods=1).median().to_numpy(np.float64)
        before = closes[joint - 1]
        return cls(
            open_ms[joint],
            opens[joint],
            before,
            np.abs(opens[joint] / before - 1),
            tick_of(prices) / before,
            ranges[joint],
        )

    def bound(self) -> Floats | None:
        """How far each joint may be apart; None if the series shows no continuity."""
        is_exact = self.gap <= FLOAT_NOISE
        is_a_tick = ~is_exact & (self.gap <= NEAR_TICKS * self.tick)
        # Joints a tick apart are the market's, larger ones are faults.
        if is_exact.mean() >= EXACT_SHARE and is_a_tick.sum() <= (~is_exact).sum() / 2:
            return np.full(len(self.gap), FLOAT_NOISE)
        usual = float(np.median(self.range))
        beyond_a_tick = np.maximum(self.gap - NEAR_TICKS * self.tick, 0)
        if float(np.quantile(beyond_a_tick, NEAR_SHARE)) > NEAR_RANGES * usual:
            return None
        return np.maximum(BREAK_TICKS * self.tick, BREAK_RANGES * np.maximum(self.range, usual))

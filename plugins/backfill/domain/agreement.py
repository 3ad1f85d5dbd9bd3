"""Do two sources tell the same candles? Every price of every bar, within what the market itself allows.

Both frames have the columns of ``backfill.frames.candle_frame``, ``open_ms`` ascending and unique. Volume is not
compared: no two venues trade the same. A row that lacks a price is no bar: it counts as missing on its side.

Two venues of one instrument trade apart by an offset of a few bp that drifts over hours. A bar is therefore judged by
how far it departs from the offset of the bars around it (the median of :data:`AROUND` closes, at most
:data:`MAX_OFFSET`). How far it may depart is

    floor + a * volatility + b * range + tick

in relative terms, or, where a pair is unusually noisy, :data:`NINE_IN_TEN` times its noise, and never beyond the
ceiling, the offset included. ``volatility``: the median absolute log return of
the bars around; ``range``: the bar's own high over low; ``tick``: the coarser of the two price grids. Of volatility and
range the calmer source counts, so a corrupt bar cannot widen its own tolerance.

The factors are fitted to the same-instrument pairs that ../shared/market/INDEX.md lists: Binance, Bybit and OKX, BTC
and ETH, 5m to 1h, 18 pairs of 367 to 13,673 bars. Flat bars of zero volume aside, ``disagree`` is said of 31 bars in
53,820 (0.06 %), of 0.095 % in the worst pair, of none in eleven; they are sudden moves that one venue saw more of, and
the edges of an outage. Without the offset a floor twice as high still called 0.44 % of the worst pair. A market whose
bars move 10 bp and span 20 is let off with 5.5 bp at the close and 11 bp at the extremes. A bar replaced by its
neighbour is found in 90 to 97 of 100. No pair is of a less liquid coin: there, volatility, range and tick must do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backfill.domain.candle_columns import PRICES

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Verdict = Literal["agree", "disagree", "unverified"]
Vote = Literal["stored", "other", "neither", "missing"]

BP = 1e-4
# Below this, relative, two doubles tell the same price. As a ceiling: nothing else is let off.
FLOAT_NOISE = 1e-9
# seeds/003, tolerance_pct.
CEILING = 0.01

AROUND = 31
# Fewer bars than half of that cannot tell an offset from an error: none is taken out, and its usual size is let off.
ENOUGH_AROUND = 16
UNKNOWN_OFFSET = 6 * BP
MAX_OFFSET = 10 * BP

# A pair that is noisier than nearly all that were measured, as less liquid coins are, is let off with so many times the
# departure that nine bars in ten keep within. A tenth of the bars must be spoilt to move it; how far two sources can be
# apart at all bounds it.
NINE_IN_TEN = 5
MEASURED_NOISE, MOST_NOISE = 2 * BP, 5 * BP

# A grid is told from the distances of prices; a few prices tell nothing, and thousands tell no more than hundreds.
PRICES_FOR_A_TICK = 8
BARS_FOR_A_TICK = 2_000


class Leeway(NamedTuple):
    """How far a price may depart: relative, then in multiples of volatility and of the bar's range."""

    floor: float
    volatility: float
    range: float


# High and low are single trades, open and close are where everybody trades.
_EDGE, _EXTREME = Leeway(1.5 * BP, 0.2, 0.1), Leeway(2 * BP, 0.3, 0.3)
LEEWAY: dict[str, Leeway] = {"open": _EDGE, "high": _EXTREME, "low": _EXTREME, "close": _EDGE}

DISAGREEMENT_COLUMNS = ["open_ms", "field", "stored", "other", "difference", "tolerance", "offset"]


@dataclass(frozen=True)
class Comparison:
    """What two sources say of one span; each of their bars is in ``compared``, ``only_stored`` or ``only_other``.

    ``disagreements``: a row for each bar and field, by time. ``difference`` is stored / other - 1. The row is there
    because it lies further than ``tolerance`` from ``offset``, or further than the ceiling from 0.
    """

    compared: int
    agreed: int
    disagreements: pd.DataFrame
    only_stored: Times
    only_other: Times

    @property
    def verdict(self) -> Verdict:
        """``unverified``: there was nothing to compare, which is no praise."""
        if self.compared == 0:
            return "unverified"
        return "agree" if self.agreed == self.compared else "disagree"

    @property
    def share_agreeing(self) -> float:
        """Of the bars compared; 0 where there are none."""
        return self.agreed / self.compared if self.compared else 0.0


def compare(
    stored: pd.DataFrame, other: pd.DataFrame, *, step_ms: int, ceiling: float = CEILING, strict: bool = False
) -> Comparison:
    """The stored candles beside another source's of the same class, bars of ``step_ms``.

    ``ceiling``: the relative difference that no volatility excuses. With :data:`FLOAT_NOISE` equality is expected: one
    source asked twice. ``strict``: a pair's own noise excuses nothing, which a shifted series would have plenty of.
    """
    both = in_common(stored, other)
    difference = _relative(both.stored, both.other)
    offset = _offset(difference[:, PRICES.index("close")])
    tolerance = _tolerance(both, step_ms, np.isnan(offset))
    offset = np.nan_to_num(offset)
    if not strict:
        tolerance = np.maximum(tolerance, NINE_IN_TEN * _noise(difference - offset[:, None]))
    ceiling = max(ceiling, FLOAT_NOISE)
    apart = (np.abs(difference - offset[:, None]) > tolerance) | (np.abs(difference) > ceiling)
    apart &= np.abs(difference) > FLOAT_NOISE
    bars, fields = np.nonzero(apart)
    return Comparison(
        compared=len(both.open_ms),
        agreed=len(both.open_ms) - int(apart.any(axis=1).sum()),
        disagreements=pd.DataFrame(
            {
                "open_ms": both.open_ms[bars],
                "field": np.array(PRICES, dtype=object)[fields],
                "stored": both.stored[bars, fields],
                "other": both.other[bars, fields],
                "difference": difference[bars, fields],
                "tolerance": np.minimum(tolerance[bars, fields], ceiling),
                "offset": offset[bars],
            },
            columns=DISAGREEMENT_COLUMNS,
        ),
        only_stored=both.only_stored,
        only_other=both.only_other,
    )


def votes(disagreements: pd.DataFrame, third: pd.DataFrame) -> pd.DataFrame:
    """The disagreements with what a third source says (``third``, NaN if nothing) and its ``vote``.

    It sides with the nearer of the two, if that is no further away than the row's tolerance and the usual size of an
    offset, since its own is not known. Further away, or exactly in the middle: ``neither``. No bar: ``missing``.
    """
    bars = pd.Index(third["open_ms"]).get_indexer(pd.Index(disagreements["open_ms"]))
    fields = pd.Index(PRICES).get_indexer(pd.Index(disagreements["field"]))
    said = np.full(len(disagreements), np.nan)
    said[bars >= 0] = third[PRICES].to_numpy(dtype=np.float64)[bars[bars >= 0], fields[bars >= 0]]
    to_stored = np.abs(_relative(disagreements["stored"].to_numpy(dtype=np.float64), said))
    to_other = np.abs(_relative(disagreements["other"].to_numpy(dtype=np.float64), said))
    reach = disagreements["tolerance"].to_numpy(dtype=np.float64) + UNKNOWN_OFFSET
    undecided = (np.minimum(to_stored, to_other) > reach) | (np.abs(to_stored - to_other) <= FLOAT_NOISE)
    vote = np.select(
        [np.isnan(said), undecided, to_stored < to_other], ["missing", "neither", "stored"], default="other"
    )
    return disagreements.assign(third=said, vote=vote.astype(object))


class InCommon(NamedTuple):
    """The bars that both sources have, their prices as (bars, open-high-low-close), and those that one of them has."""

    open_ms: Times
    stored: Floats
    other: Floats
    only_stored: Times
    only_other: Times


def in_common(stored: pd.DataFrame, other: pd.DataFrame) -> InCommon:
    """Two frames matched by open time."""
    stored_ms, stored_prices = _bars(stored)
    other_ms, other_prices = _bars(other)
    place = np.searchsorted(other_ms, stored_ms)
    matched = np.zeros(len(stored_ms), dtype=bool)
    inside = place < len(other_ms)
    matched[inside] = other_ms[place[inside]] == stored_ms[inside]
    unmatched = np.ones(len(other_ms), dtype=bool)
    unmatched[place[matched]] = False
    return InCommon(
        stored_ms[matched],
        stored_prices[matched],
        other_prices[place[matched]],
        stored_ms[~matched],
        other_ms[unmatched],
    )


def _bars(candles: pd.DataFrame) -> tuple[Times, Floats]:
    prices = candles[PRICES].to_numpy(dtype=np.float64)
    told = ~np.isnan(prices).any(axis=1)
    return candles["open_ms"].to_numpy(dtype=np.int64)[told], prices[told]


def _relative(value: Floats, reference: Floats) -> Floats:
    """value / reference - 1; equal zeros do not differ, and from a zero everything else is infinitely far."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(value == reference, 0.0, value / reference - 1))


def _offset(difference: Floats) -> Floats:
    """By how much the stored closes around each bar lie above the other's; NaN where too few bars can say."""
    known = np.where(np.isfinite(difference), difference, np.nan)
    return _rolling_median(known, ENOUGH_AROUND).clip(-MAX_OFFSET, MAX_OFFSET)


def _tolerance(both: InCommon, step_ms: int, unknown_offset: NDArray[np.bool_]) -> Floats:
    """How far each price may depart from the offset, relative: (bars, open-high-low-close)."""
    floor, by_volatility, by_range = np.array([LEEWAY[field] for field in PRICES]).T
    market = by_volatility * _volatility(both, step_ms)[:, None] + by_range * _calmer_range(both)[:, None]
    slack = np.where(unknown_offset, UNKNOWN_OFFSET, 0.0)[:, None]
    tolerance: Floats = floor + market + slack + _coarser_tick(both)
    return tolerance


def _noise(departure: Floats) -> Floats:
    """How far nine bars in ten keep to the usual departure of each field, if that is unusually far; else 0."""
    if len(departure) < ENOUGH_AROUND:
        return np.zeros(departure.shape[1])
    noise: Floats = np.quantile(np.abs(departure - np.median(departure, axis=0)), 0.9, axis=0)
    return np.where(noise > MEASURED_NOISE, np.minimum(noise, MOST_NOISE), 0.0)


def _volatility(both: InCommon, step_ms: int) -> Floats:
    """The median absolute log return of a bar around each, of the calmer source; over a hole, of one bar of it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        closes = np.log(np.stack((both.stored[:, -1], both.other[:, -1])))
        returns = np.abs(np.diff(closes, prepend=np.nan)) / np.sqrt(np.diff(both.open_ms, prepend=0) / step_ms)
    return np.nan_to_num(_rolling_median(_calmer(*returns), 1))


def _calmer_range(both: InCommon) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ranges = [np.abs(np.log(prices[:, 1] / prices[:, 2])) for prices in (both.stored, both.other)]
    return np.nan_to_num(_calmer(*ranges))


def _calmer(one: Floats, another: Floats) -> Floats:
    """The smaller of two; what is no finite number does not count, and NaN stands where neither does."""
    calmer: Floats = np.fmin(one, another)
    calmer[~np.isfinite(calmer)] = np.nan
    return calmer


def _coarser_tick(both: InCommon) -> Floats:
    """One step of the coarser of the two price grids, relative to each price."""
    tick = max(_tick(both.stored), _tick(both.other))
    reference = np.abs(both.other)
    relative: Floats = np.divide(tick, reference, out=np.zeros_like(reference), where=reference > 0)
    return relative


def _tick(prices: Floats) -> float:
    """The smallest distance between two prices, a source's price step; 0 if there are too few to tell."""
    distinct = np.unique(prices[:BARS_FOR_A_TICK])
    steps = np.diff(distinct[np.isfinite(distinct)])
    steps = steps[steps > FLOAT_NOISE * np.max(np.abs(distinct), initial=0.0)]
    return float(steps.min()) if len(steps) >= PRICES_FOR_A_TICK else 0.0


def _rolling_median(values: Floats, enough: int) -> Floats:
    """Of the values around each; NaN where fewer than ``enough`` are known."""
    return pd.Series(values).rolling(AROUND, center=True, min_periods=enough).median().to_numpy(dtype=np.float64)

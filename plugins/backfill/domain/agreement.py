"""Compare the prices of two sources' candles, with tolerances from the pair itself.

Frames have the candle columns, ``open_ms`` ascending and unique. Rows without all prices count as missing. A bar in
which one side did not trade (flat, no volume) has no price to compare and counts as ``silent``. Volumes differ by venue
and are not compared.

Two venues are apart by an offset that drifts over hours. From its median over the :data:`AROUND` bars around it, a
price may depart by the larger of

    floor + a * volatility + b * range + 1.5 ticks   as much as any market needs
    TIMES_NOISE * noise * activity                   as much as this pair needs

with the offset, never beyond the ceiling (:data:`TIMES_CEILING` times that for a single price of a very noisy pair in a
very active market). Noise is a robust quantile of the pair's own departures per field, activity how wide the bars
around are. ``level``, the mean departure of the four prices, scatters less than each and finds bars that are wrong as a
whole. A bar's own range and departure never widen its tolerance.
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
# Relative distance of equal prices.
FLOAT_NOISE = 1e-9
# seeds/003, tolerance_pct.
CEILING = 0.01

AROUND = 31
# With fewer bars UNKNOWN_OFFSET is allowed.
ENOUGH_AROUND = 16
UNKNOWN_OFFSET = 6 * BP
# An offset beyond it, and beyond the pair's noise, is a difference.
MAX_OFFSET = 10 * BP

# Below it the market's allowance is enough.
MEASURED_NOISE = 2 * BP
# Each is the least of these quantiles of the departures times its factor. In markets the 0.9 quantile is at most 2.5
# times the 0.75 one and 6 times the median; if corrupt bars raise it, the others hold it down.
NOISE_QUANTILES = ((0.9, 1.0), (0.75, 2.5), (0.5, 6.0))
# Tails are long: of 188 bars of AAVE and ATOM the furthest departs by 3.3 noises in a price, by 2.1 in level.
TIMES_NOISE, TIMES_LEVEL_NOISE = 5.0, 4.0
# A bar is at most so much more active than usual.
MOST_ACTIVITY = 10.0
# With this share of silent bars and too few others to learn from, a price may lie anywhere in twice the other side's
# usual range.
THIN, RANGES_OF_A_THIN_PAIR = 0.05, 2.0
# In a crash single prices of a thin pair, but not whole bars, are further apart than any ceiling.
TIMES_CEILING = 2.0
# Bars beyond this many noises are left out when the noise is learned again.
LEARNING_ROUNDS, TIMES_TO_LEARN = 3, 3.5
BARS_TO_LEARN_FROM = 20_000
ACTIVITY_STEP = 8
# Share of faults of size `resolves` that are found.
POWER = 0.99

# Both prices are rounded by up to half a tick, as is the offset.
ROUNDED_BY_TICKS = 1.5
# Enough to estimate a price grid.
PRICES_FOR_A_TICK = 8
BARS_FOR_A_TICK = 2_000
# Share of the steps between prices that corrupt bars may make; of prices, if these recur so often.
OFF_GRID, RECURRING = 0.1, 3


class Leeway(NamedTuple):
    """Allowed departure: relative floor, multiples of volatility and range."""

    floor: float
    volatility: float
    range: float


# High and low are single trades.
_EDGE, _EXTREME = Leeway(1.5 * BP, 0.2, 0.1), Leeway(2 * BP, 0.3, 0.3)
HIGH, LOW = PRICES.index("high"), PRICES.index("low")
LEEWAY: dict[str, Leeway] = {"open": _EDGE, "high": _EXTREME, "low": _EXTREME, "close": _EDGE}

DISAGREEMENT_COLUMNS = ["open_ms", "field", "stored", "other", "difference", "tolerance", "offset"]


@dataclass(frozen=True)
class Comparison:
    """Two sources over one span; each bar is in ``compared``, ``silent``, ``only_stored`` or ``only_other``.

    ``disagreements`` has a row per bar and field whose ``difference`` (stored / other - 1) is further than
    ``tolerance`` from ``offset``, or beyond the ceiling. ``silent``: one side did not trade. ``resolves``: the relative
    size of a fault of a whole bar that shows in :data:`POWER` of this pair's bars; NaN if nothing was compared.
    """

    compared: int
    agreed: int
    disagreements: pd.DataFrame
    only_stored: Times
    only_other: Times
    silent: Times
    resolves: float

    @property
    def verdict(self) -> Verdict:
        """``unverified`` if nothing was compared."""
        if self.compared == 0:
            return "unverified"
        return "agree" if self.agreed == self.compared else "disagree"

    @property
    def share_agreeing(self) -> float:
        """Of the compared bars; 0 if none."""
        return self.agreed / self.compared if self.compared else 0.0


def compare(
    stored: pd.DataFrame, other: pd.DataFrame, *, step_ms: int, ceiling: float = CEILING, strict: bool = False
) -> Comparison:
    """Compare stored candles with another source's, both of ``step_ms``.

    ``ceiling``: largest relative difference (:data:`FLOAT_NOISE` for one source asked twice). ``strict``: no allowance
    for noise, since shifted series are noisy too.
    """
    everything = in_common(stored, other)
    both = everything.where(~everything.silent) if ceiling > FLOAT_NOISE else everything
    difference = _relative(both.stored, both.other)
    offset = _offset(difference[:, PRICES.index("close")])
    noise = _Noise.none() if strict else _noise(everything, both, difference, offset)
    most = max(MAX_OFFSET, float(noise.field[PRICES.index("close")]))
    tolerance = _tolerance(both, step_ms, np.isnan(offset))
    offset = np.nan_to_num(offset.clip(-most, most))
    departure = difference - offset[:, None]
    level_allowed = np.zeros(len(both.open_ms))
    ceiling = max(ceiling, FLOAT_NOISE)
    most_apart: Floats | float = ceiling
    if noise.is_known:
        activity = _activity(both)
        needed = TIMES_NOISE * activity[:, None] * noise.field
        level_allowed = np.maximum(tolerance.mean(axis=1), TIMES_LEVEL_NOISE * activity * noise.level).clip(max=ceiling)
        most_apart = needed.clip(ceiling, TIMES_CEILING * ceiling)
        tolerance = np.maximum(tolerance, needed)
    tolerance = np.minimum(tolerance, most_apart)
    apart = (np.abs(departure) > tolerance) | (np.abs(difference) > most_apart)
    if noise.is_known:
        # Each price went the same way, and not just a little.
        level = departure.mean(axis=1)
        as_a_whole = np.abs(level) > level_allowed
        apart |= as_a_whole[:, None] & (departure * np.sign(level)[:, None] > level_allowed[:, None] / 2)
    apart &= np.abs(difference) > FLOAT_NOISE
    bars, fields = np.nonzero(apart)
    exceeded = np.where(
        np.abs(departure[bars, fields]) > tolerance[bars, fields], tolerance[bars, fields], level_allowed[bars]
    )
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
                "tolerance": exceeded,
                "offset": offset[bars],
            },
            columns=DISAGREEMENT_COLUMNS,
        ),
        only_stored=both.only_stored,
        only_other=both.only_other,
        silent=everything.open_ms[everything.silent] if both is not everything else everything.open_ms[:0],
        resolves=_resolves(departure, level_allowed if noise.is_known else tolerance),
    )


def votes(disagreements: pd.DataFrame, third: pd.DataFrame) -> pd.DataFrame:
    """The disagreements with a third source's value (``third``, NaN if missing) and ``vote``.

    The nearer of the two has it if within tolerance plus usual offset, else ``neither``.
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
    """Prices are (bars, open-high-low-close); ``silent``: one side did not trade."""

    open_ms: Times
    stored: Floats
    other: Floats
    silent: NDArray[np.bool_]
    only_stored: Times
    only_other: Times

    def where(self, these: NDArray[np.bool_]) -> InCommon:
        """Only some of the common bars."""
        if these.all():
            return self
        return self._replace(
            open_ms=self.open_ms[these],
            stored=self.stored[these],
            other=self.other[these],
            silent=self.silent[these],
        )


def in_common(stored: pd.DataFrame, other: pd.DataFrame) -> InCommon:
    """Match two frames by open time."""
    stored_ms, stored_prices, stored_silent = _bars(stored)
    other_ms, other_prices, other_silent = _bars(other)
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
        stored_silent[matched] | other_silent[place[matched]],
        stored_ms[~matched],
        other_ms[unmatched],
    )


def _bars(candles: pd.DataFrame) -> tuple[Times, Floats, NDArray[np.bool_]]:
    prices = candles[PRICES].to_numpy(dtype=np.float64)
    flat = prices[:, HIGH] == prices[:, LOW]
    silent = flat & (candles["volume"].to_numpy(dtype=np.float64) == 0) & (prices[:, HIGH] > 0)
    known = ~np.isnan(prices).any(axis=1)
    return candles["open_ms"].to_numpy(dtype=np.int64)[known], prices[known], silent[known]


def _relative(value: Floats, reference: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(value == reference, 0.0, value / reference - 1))


def _offset(difference: Floats) -> Floats:
    """NaN if too few are known."""
    return _rolling_median(np.where(np.isfinite(difference), difference, np.nan), ENOUGH_AROUND)


class _Noise(NamedTuple):
    """Usual departures of a pair per unit of activity, per field and in level; 0 up to :data:`MEASURED_NOISE`."""

    field: Floats
    level: float

    @property
    def is_known(self) -> bool:
        return self.level > 0 or bool((self.field > 0).any())

    @classmethod
    def none(cls) -> _Noise:
        return cls(np.zeros(len(PRICES)), 0.0)


def _noise(everything: InCommon, both: InCommon, difference: Floats, offset: Floats) -> _Noise:
    """For a thin pair with too few bars to learn from it is assumed."""
    known = np.flatnonzero(np.isfinite(offset) & np.isfinite(difference).all(axis=1))
    if len(known) < ENOUGH_AROUND:
        return _noise_of_a_thin_pair(everything)
    known = known[:: -(-len(known) // BARS_TO_LEARN_FROM)]
    departure = difference[known] - offset[known, None]
    departures = np.abs(np.column_stack((departure, departure.mean(axis=1))))
    half_tick = float(np.median(_coarser_tick(both)[known])) / 2
    halves = np.array([half_tick] * len(PRICES) + [half_tick / len(PRICES)])
    noise = _least_quantile(departures, halves)
    if (noise <= MEASURED_NOISE).all():
        return _Noise.none()
    departures /= _activity(both)[known, None]
    for _ in range(LEARNING_ROUNDS):
        noise = _least_quantile(departures, halves)
        departures = departures[(departures <= TIMES_TO_LEARN * noise).all(axis=1)]
    # The level keeps its own: small for noisy prices, yet above the market's allowance.
    field, level = noise[:-1], float(noise[-1])
    return _Noise(np.where(field <= MEASURED_NOISE, 0.0, field), level)


def _least_quantile(departures: Floats, half_tick: Floats) -> Floats:
    """Departures are rounded to ticks: a quantile of 0 only means less than half a tick."""
    shares, factors = np.array(NOISE_QUANTILES).T
    quantiles = np.quantile(departures, shares, axis=0)
    noise: Floats = (np.maximum(quantiles, half_tick) * factors[:, None]).min(axis=0)
    return np.where(quantiles[0] < half_tick, 0.0, noise)


def _noise_of_a_thin_pair(everything: InCommon) -> _Noise:
    if not len(everything.silent) or everything.silent.mean() <= THIN:
        return _Noise.none()
    usual = RANGES_OF_A_THIN_PAIR * float(np.median(_wider_range(everything)))
    return _Noise(np.full(len(PRICES), usual / TIMES_NOISE), usual / TIMES_LEVEL_NOISE)


def _activity(both: InCommon) -> Floats:
    """How wide the bars around are beside the pair's usual ones, at least 1."""
    ranges = _wider_range(both)
    usual = np.median(ranges) if len(ranges) else 0.0
    if not usual > 0:
        return np.ones(len(ranges))
    # A median of every eighth window is enough.
    padded = np.pad(ranges, (AROUND // 2, AROUND // 2 + ACTIVITY_STEP), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, AROUND)[ACTIVITY_STEP // 2 :: ACTIVITY_STEP]
    around = np.median(windows, axis=1).repeat(ACTIVITY_STEP)[: len(ranges)]
    activity: Floats = (around / usual).clip(1.0, MOST_ACTIVITY)
    return activity


def _wider_range(both: InCommon) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ranges = np.stack([np.abs(np.log(prices[:, HIGH] / prices[:, LOW])) for prices in (both.stored, both.other)])
    ranges[~np.isfinite(ranges)] = 0.0
    wider: Floats = ranges.max(axis=0)
    return wider


def _resolves(departure: Floats, tolerance: Floats) -> float:
    """A fault adds to, or is hidden by, the bar's own departure. ``tolerance``: of level or fields."""
    every = -(-len(departure) // BARS_TO_LEARN_FROM) or 1
    level, allowed = np.abs(departure[::every].mean(axis=1)), tolerance[::every]
    needed = level + (allowed if allowed.ndim == 1 else allowed.min(axis=1))
    needed = needed[np.isfinite(needed)]
    return float(np.quantile(needed, POWER)) if len(needed) else float("nan")


def _tolerance(both: InCommon, step_ms: int, unknown_offset: NDArray[np.bool_]) -> Floats:
    floor, by_volatility, by_range = np.array([LEEWAY[field] for field in PRICES]).T
    market = by_volatility * _volatility(both, step_ms)[:, None] + by_range * _calmer_range(both)[:, None]
    slack = np.where(unknown_offset, UNKNOWN_OFFSET, 0.0)[:, None]
    tolerance: Floats = floor + market + slack + ROUNDED_BY_TICKS * _coarser_tick(both)
    return tolerance


def _volatility(both: InCommon, step_ms: int) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        closes = np.log(np.stack((both.stored[:, -1], both.other[:, -1])))
        returns = np.abs(np.diff(closes, prepend=np.nan)) / np.sqrt(np.diff(both.open_ms, prepend=0) / step_ms)
    return np.nan_to_num(_rolling_median(_calmer(*returns), 1))


def _calmer_range(both: InCommon) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ranges = [np.abs(np.log(prices[:, 1] / prices[:, 2])) for prices in (both.stored, both.other)]
    return np.nan_to_num(_calmer(*ranges))


def _calmer(one: Floats, another: Floats) -> Floats:
    calmer: Floats = np.fmin(one, another)
    calmer[~np.isfinite(calmer)] = np.nan
    return calmer


def _coarser_tick(both: InCommon) -> Floats:
    tick = max(tick_of(both.stored), tick_of(both.other))
    reference = np.abs(both.other)
    relative: Floats = np.divide(tick, reference, out=np.zeros_like(reference), where=reference > 0)
    return relative


def tick_of(prices: Floats) -> float:
    """The step between prices; 0 if too few differ. Of recurring prices, the rarest are off the grid."""
    distinct, times = np.unique(prices[:BARS_FOR_A_TICK], return_counts=True)
    if times.sum() >= RECURRING * max(len(times), 1):
        often = np.argsort(-times, kind="stable")
        on_grid = often[: int(np.searchsorted(np.cumsum(times[often]), (1 - OFF_GRID) * times.sum())) + 1]
        distinct = distinct[np.sort(on_grid)]
    steps = np.diff(distinct[np.isfinite(distinct)])
    steps = steps[steps > FLOAT_NOISE * np.max(np.abs(distinct), initial=0.0)]
    return float(np.quantile(steps, OFF_GRID)) if len(steps) >= PRICES_FOR_A_TICK else 0.0


def _rolling_median(values: Floats, enough: int) -> Floats:
    return pd.Series(values).rolling(AROUND, center=True, min_periods=enough).median().to_numpy(dtype=np.float64)

"""Find the one cause that makes a whole page of candles wrong.

``hour_shift``
    Open times off by whole hours (local time stored as UTC) or a few bars.
``wrong_scale``
    Prices times a constant: a multiplier (1000BONK) not removed, or removed twice.
``wrong_instrument``
    Another coin, or the spot market, which follows the perpetual at a steady distance.

Candles of one venue must be equal: a basis of 3.5 bp with 0.13 times the volume is proof. Those of two must agree as in
``agreement``; a steady basis alone is no proof: two perpetuals of WIF were 4 to 6 bp apart for 50 days, with 1.96 times
the volume. Binance's spot market had 0.26 times the volume of Bybit's perpetual, its perpetual 2 times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from backfill.domain.agreement import BP, CEILING, FLOAT_NOISE, Floats, Times, compare, in_common
from backfill.domain.candle_columns import PRICES
from backfill.domain.timeframes import DAY_MS, HOUR_MS

Fault = Literal["hour_shift", "wrong_scale", "wrong_instrument"]

ENOUGH_BARS = 30
# Correlation of moves: of a coin at two venues 0.9 and more, of its shifted bars about 0. Moves are clipped to this
# many usual ones, so that a few wrong bars do not decide.
TOGETHER, APART, MOST_MOVES = 0.5, 0.25, 5.0
# Above SCATTERED no common cause is sought; it must explain EXPLAINED.
SCATTERED, EXPLAINED = 0.5, 0.95
# From UTC-12 to UTC+14.
LAG_HOURS = 14
LAG_BARS = 3
# Perpetuals of one coin are closer than BASIS, over LASTING_MS than LASTING_BASIS.
BASIS = 10 * BP
LASTING_BASIS, LASTING_MS = 2.5 * BP, 10 * DAY_MS
# Closes around a steady basis scatter by at most this share of it; below LOCKED no market made them.
STEADY, LOCKED = 0.5, 0.1
# A spot market trades less than this beside another venue's perpetual; either may be the spot.
SPOT_VOLUME = 0.3
# Candles of one market stay within these.
OWN_BASIS = 1 * BP
OWN_VOLUMES = (0.9, 1.1)


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a page, and the evidence.

    ``lag_ms``: how late the stored times are. ``ratio``: median of stored / other closes (``median_bp`` from 1).
    ``volume_ratio``: None if unknown. ``share_agreeing``: with lag or ratio removed.
    """

    fault: Fault
    lag_ms: int
    ratio: float
    median_bp: float
    volume_ratio: float | None
    share_agreeing: float
    reason: str


def diagnose(
    stored: pd.DataFrame, other: pd.DataFrame, *, step_ms: int, ceiling: float = CEILING, same_venue: bool = False
) -> Diagnosis | None:
    """The one cause by which the stored page differs from ``other`` (may be longer), or None.

    ``same_venue``: prices must be equal. Use it for agreeing pages too: tolerances between venues hide a spot basis.
    """
    expected = FLOAT_NOISE if same_venue else ceiling
    share = compare(stored, other, step_ms=step_ms, ceiling=expected, strict=True).share_agreeing
    scattered = share > SCATTERED
    if scattered and same_venue:
        return None
    if not scattered:
        found = None
        if not correlation(stored, other) > TOGETHER:
            found = _hour_shift(stored, other, step_ms, expected) or _shift_of_a_thin_pair(
                stored, other, step_ms, ceiling
            )
        found = found or _wrong_scale(stored, other, step_ms, ceiling)
        if found is not None:
            return found
    evidence = _evidence(stored, other)
    if evidence is None:
        return None
    why = _not_its_own(evidence) if same_venue else _another_market(evidence, scattered, ceiling)
    return None if why is None else evidence.diagnosis("wrong_instrument", why, share)


@dataclass(frozen=True)
class _Evidence:
    """Over common bars; ``scatter`` is around ``ratio``."""

    span_ms: int
    ratio: float
    distance: float
    scatter: float
    volume_ratio: float | None

    @property
    def basis(self) -> float:
        return self.ratio - 1

    @property
    def is_steady(self) -> bool:
        return self.scatter < STEADY * abs(self.basis)

    def diagnosis(self, fault: Fault, reason: str, share: float, lag_ms: int = 0) -> Diagnosis:
        return Diagnosis(fault, lag_ms, self.ratio, self.basis / BP, self.volume_ratio, share, reason)


def _evidence(stored: pd.DataFrame, other: pd.DataFrame) -> _Evidence | None:
    both = in_common(stored, other)
    both = both.where(~both.silent)
    closes = both.stored[:, PRICES.index("close")], both.other[:, PRICES.index("close")]
    ratios = _ratios(*closes)
    if len(ratios) < ENOUGH_BARS or any((close == close[0]).all() for close in closes):
        return None
    volumes = _ratios(*(_at(both.open_ms, candles, "volume") for candles in (stored, other)))
    ratio = float(np.median(ratios))
    return _Evidence(
        span_ms=int(both.open_ms[-1] - both.open_ms[0]),
        ratio=ratio,
        distance=float(np.median(np.abs(ratios - 1))),
        scatter=float(np.median(np.abs(ratios - ratio))),
        volume_ratio=float(np.median(volumes)) if len(volumes) else None,
    )


def _ratios(stored: Floats, other: Floats) -> Floats:
    known = np.isfinite(stored) & np.isfinite(other) & (stored > 0) & (other > 0)
    return stored[known] / other[known]


def _at(open_ms: Times, candles: pd.DataFrame, column: str) -> Floats:
    values = candles[column].to_numpy(dtype=np.float64)
    return values[np.searchsorted(candles["open_ms"].to_numpy(), open_ms)]


def _hour_shift(stored: pd.DataFrame, other: pd.DataFrame, step_ms: int, ceiling: float) -> Diagnosis | None:
    """The one lag at which the bars agree; None if several do."""
    explaining: list[Diagnosis] = []
    for lag_ms in _lags_ms(step_ms):
        moved = stored.assign(open_ms=stored["open_ms"] - lag_ms)
        found = compare(moved, other, step_ms=step_ms, ceiling=ceiling, strict=True)
        share = found.share_agreeing
        evidence = _evidence(moved, other) if share >= EXPLAINED else None
        if evidence is not None:
            late = f"{_length(abs(lag_ms))} {'late' if lag_ms > 0 else 'early'}"
            why = f"its stamps are {late}: set right, {share:.1%} of {found.compared:,} bars agree"
            explaining.append(evidence.diagnosis("hour_shift", why, share, lag_ms))
    return explaining[0] if len(explaining) == 1 else None


def _shift_of_a_thin_pair(stored: pd.DataFrame, other: pd.DataFrame, step_ms: int, ceiling: float) -> Diagnosis | None:
    """The one lag at which prices move together, where too few bars agree at any."""
    together = []
    for lag_ms in _lags_ms(step_ms):
        moved = stored.assign(open_ms=stored["open_ms"] - lag_ms)
        moves_alike = correlation(moved, other)
        if moves_alike > TOGETHER:
            together.append((lag_ms, moved))
        elif moves_alike > APART and abs(lag_ms) > step_ms:
            return None
    if len(together) != 1:
        return None
    lag_ms, moved = together[0]
    evidence = _evidence(moved, other)
    if evidence is None:
        return None
    share = compare(moved, other, step_ms=step_ms, ceiling=ceiling).share_agreeing
    late = f"{_length(abs(lag_ms))} {'late' if lag_ms > 0 else 'early'}"
    why = f"its stamps are {late}: set right, it moves with the other, and not before"
    return evidence.diagnosis("hour_shift", why, share, lag_ms)


def correlation(stored: pd.DataFrame, other: pd.DataFrame, enough: int = ENOUGH_BARS) -> float:
    """Of the moves of closes where both traded; NaN for fewer than ``enough``."""
    both = in_common(stored, other)
    both = both.where(~both.silent)
    place = PRICES.index("close")
    closes = np.stack((both.stored[:, place], both.other[:, place]))
    closes = closes[:, (closes > 0).all(axis=0) & np.isfinite(closes).all(axis=0)]
    moves = np.diff(np.log(closes), axis=1)
    if moves.shape[1] < enough:
        return float("nan")
    most = MOST_MOVES * np.mean(np.abs(moves), axis=1, keepdims=True)
    moves = moves.clip(-most, most)
    if not (moves.std(axis=1) > 0).all():
        return float("nan")
    return float(np.corrcoef(moves)[0, 1])


def _lags_ms(step_ms: int) -> list[int]:
    hours = {hours * HOUR_MS for hours in range(1, LAG_HOURS + 1)}
    bars = {bars * step_ms for bars in range(1, LAG_BARS + 1)}
    return [sign * length for length in sorted(hours | bars) for sign in (1, -1)]


def _length(ms: int) -> str:
    return f"{ms // HOUR_MS} h" if ms % HOUR_MS == 0 else f"{ms // 60_000} min"


def _wrong_scale(stored: pd.DataFrame, other: pd.DataFrame, step_ms: int, ceiling: float) -> Diagnosis | None:
    evidence = _evidence(stored, other)
    if evidence is None or abs(evidence.basis) <= ceiling:
        return None
    scaled = stored.assign(**{price: stored[price] / evidence.ratio for price in PRICES})
    found = compare(scaled, other, step_ms=step_ms, ceiling=ceiling)
    share = found.share_agreeing
    if share < EXPLAINED:
        return None
    times = f"{evidence.ratio:.6g} times the other's"
    why = f"its prices are {times}: divided by that, {share:.1%} of {found.compared:,} bars agree"
    return evidence.diagnosis("wrong_scale", why, share)


def _not_its_own(evidence: _Evidence) -> str | None:
    least, most = OWN_VOLUMES
    volume = 1.0 if evidence.volume_ratio is None else evidence.volume_ratio
    if abs(evidence.basis) < OWN_BASIS and least <= volume <= most:
        return None
    volumes = "" if evidence.volume_ratio is None else f", with {volume:.2g} times the volume"
    return f"its closes lie {evidence.basis / BP:+,.1f} bp from the same venue's own{volumes}"


def _another_market(evidence: _Evidence, scattered: bool, ceiling: float) -> str | None:
    if not scattered and evidence.distance > ceiling:
        return f"its closes are {evidence.ratio:.4g} times the other venue's, by no constant factor"
    least = LASTING_BASIS if evidence.span_ms >= LASTING_MS else BASIS
    if abs(evidence.basis) < least or not evidence.is_steady:
        return None
    is_locked = abs(evidence.basis) >= BASIS and evidence.scatter < LOCKED * abs(evidence.basis)
    ratio = evidence.volume_ratio
    if not is_locked and (ratio is None or SPOT_VOLUME <= ratio <= 1 / SPOT_VOLUME):
        return None
    volumes = "" if evidence.volume_ratio is None else f" and {evidence.volume_ratio:.2g} times the volume"
    basis = f"{evidence.basis / BP:+,.1f} bp"
    return f"its closes lie {basis} from the other venue's throughout{volumes}, as another market's do"

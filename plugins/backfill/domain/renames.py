"""Whether two names have been one instrument, by the bars that both have.

Two sources are compared (``agreement``, ``misfiled``) without learning the pair's noise: learned from two coins, it
lets half of their pages of 30 bars agree. The bars must also be one record, or move together: two coins pegged to one
dollar agree in each bar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backfill.domain.agreement import FLOAT_NOISE, compare, in_common
from backfill.domain.candle_columns import PRICES
from backfill.domain.misfiled import EXPLAINED, SCATTERED, TOGETHER, correlation, diagnose
from backfill.domain.symbols import MIN_OVERLAP_BARS, price_scale

if TYPE_CHECKING:
    import pandas as pd


class RenameProof(NamedTuple):
    """``common_bars``: bars in which both names traded. ``ok`` None: too few, or too noisy, to judge."""

    common_bars: int
    agreeing_bars: int
    ok: bool | None
    reason: str


def divisor_between(old_base: str, new_base: str) -> float:
    """The divisor of the old name's prices: 1000 from 1000BONK to BONK, 1 between other names."""
    return price_scale(old_base, new_base) or 1.0


def at_scale(candles: pd.DataFrame, divisor: float) -> pd.DataFrame:
    """Candles of the old name at the new one's scale."""
    prices = {name: candles[name] / divisor for name in PRICES}
    return candles.assign(**prices, volume=candles["volume"] * divisor)


def prove_rename(old: pd.DataFrame, new: pd.DataFrame, *, step_ms: int) -> RenameProof:
    """Judge the bars of both names, the old ones :func:`at_scale`."""
    found = compare(old, new, step_ms=step_ms, strict=True)
    common, agreed = found.compared, found.agreed
    if common < MIN_OVERLAP_BARS:
        return RenameProof(common, agreed, None, f"{common} bars in common, {MIN_OVERLAP_BARS} are needed")
    figures = f"{agreed:,} of {common:,} bars in common agree ({found.share_agreeing:.1%})"
    fault = diagnose(old, new, step_ms=step_ms)
    if fault is not None:
        return RenameProof(common, agreed, False, f"{figures}: {fault.reason}")
    if found.share_agreeing < EXPLAINED:
        ok = False if found.share_agreeing < SCATTERED else None
        return RenameProof(common, agreed, ok, f"{figures}, {EXPLAINED:.0%} are needed")
    if not _is_one_record(old, new) and not correlation(old, new, MIN_OVERLAP_BARS - 1) > TOGETHER:
        return RenameProof(common, agreed, False, f"{figures}, but their prices do not move together")
    return RenameProof(common, agreed, True, figures)


def _is_one_record(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    """Whether an exchange shows equal volumes, so the same trades, under both names."""
    both = in_common(old, new)
    ours, theirs = (
        candles.set_index("open_ms")["volume"].reindex(both.open_ms).to_numpy(dtype=np.float64)
        for candles in (old, new)
    )
    same = (ours > 0) & np.isclose(ours, theirs, rtol=FLOAT_NOISE, atol=0)
    return bool(same.mean() >= EXPLAINED)

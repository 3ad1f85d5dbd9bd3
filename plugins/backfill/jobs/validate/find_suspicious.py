"""Find stored bars that look wrong: flat bars in a traded market, jumps, broken joints, holes at page edges.

The primary source is asked again first. Another source that was as quiet, or moved as far, clears them; otherwise they
stay suspects, a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backfill.domain.answers import bar_intervals
from backfill.domain.continuity import continuity
from backfill.domain.intervals import Interval, difference, intersection
from backfill.domain.quantities import unfitting
from backfill.domain.suspicious_bars import LEAST_JUMP, MOVES_AROUND, flat_runs, page_edges, price_jumps
from backfill.jobs.validate.validation_context import ValidationContext, rows_of
from backfill.storage.findings import Finding

if TYPE_CHECKING:
    import pandas as pd

    from backfill.domain.agreement import Comparison


# Bars before a page show how quiet the market usually is; bars after it keep silences whole.
BARS_BEFORE, BARS_AFTER = 5000, 240


def find_suspicious(
    check: ValidationContext, span: Interval, other: pd.DataFrame | None, comparison: Comparison | None
) -> None:
    """Check the stored bars of ``span``; ``other``: another source's bars, if any."""
    candles = check.candles(_around(check, span))
    flat, was_told = _flat_bars(check, span, candles, other)
    if was_told:
        candles = check.candles(_around(check, span))
    jumps, was_told = _jumps(check, span, candles, comparison)
    if was_told:
        candles = check.candles(_around(check, span))
    breaks = _breaks(check, span, candles, comparison)
    quantities = _quantities(check, span, candles)
    check.replace_findings(
        span, {"flat_bars": flat, "price_jump": jumps, "continuity": breaks, "quantities": quantities}
    )


def _around(check: ValidationContext, span: Interval) -> Interval:
    step_ms = check.timeframe.step_ms
    return Interval(span.start - BARS_BEFORE * step_ms, span.end + BARS_AFTER * step_ms)


def _flat_bars(
    check: ValidationContext, span: Interval, candles: pd.DataFrame, other: pd.DataFrame | None
) -> tuple[list[Finding], bool]:
    """Also return whether the primary source answered again, so that ``candles`` may be stale."""
    step_ms = check.timeframe.step_ms
    flat = intersection(flat_runs(candles, step_ms), [span])
    if not flat:
        return [], False
    traded = _traded(other, step_ms)
    untrue = [run for run in flat if intersection([run], traded)]
    unsure = [run for run in flat if run not in untrue] if other is None else []
    was_told = check.ask_primary_again(difference(untrue or unsure, check.known("flat_bars", span)))
    if was_told:
        still = intersection(flat_runs(check.candles(_around(check, span)), step_ms), [span])
        untrue, unsure = intersection(untrue, still), intersection(unsure, still)
    found = [check.primary_finding("flat_bars", "disagree", run) for run in untrue]
    found += [check.primary_finding("flat_bars", "suspect", run) for run in unsure]
    return found, was_told


def _traded(other: pd.DataFrame | None, step_ms: int) -> list[Interval]:
    if other is None:
        return []
    return bar_intervals(other.loc[other["volume"] > 0, "open_ms"].to_numpy(), step_ms)


def _jumps(
    check: ValidationContext, span: Interval, candles: pd.DataFrame, comparison: Comparison | None
) -> tuple[list[Finding], bool]:
    """Also return whether the primary source answered again."""
    step_ms = check.timeframe.step_ms

    def unexplained(candles: pd.DataFrame) -> pd.DataFrame:
        first = int(candles["open_ms"].searchsorted(span.start))
        jumps = price_jumps(candles.iloc[max(0, first - MOVES_AROUND) :], step_ms)
        jumps = jumps[jumps["open_ms"].between(span.start, span.end, inclusive="left")]
        if jumps.empty:
            return jumps
        jumps = jumps[~check.is_split(jumps["open_ms"], jumps["change"], jumps["bound"])]
        if comparison is None:
            return jumps
        unshown = {*comparison.disagreements["open_ms"], *comparison.only_stored, *comparison.silent}
        return jumps[jumps["open_ms"].isin(unshown)]

    jumps = unexplained(candles)
    was_told = False
    if len(jumps):
        bars = bar_intervals(jumps["open_ms"].to_numpy(), step_ms)
        was_told = check.ask_primary_again(difference(bars, check.known("price_jump", span)))
        if was_told:
            jumps = unexplained(check.candles(_around(check, span)))
    found = [
        check.primary_finding(
            "price_jump",
            "suspect",
            Interval(row["open_ms"], row["open_ms"] + step_ms),
            field="close",
            difference=row["jump"],
            detail={"bound": row["bound"]},
        )
        for row in rows_of(jumps)
    ]
    return found, was_told


def _breaks(
    check: ValidationContext, span: Interval, candles: pd.DataFrame, comparison: Comparison | None
) -> list[Finding]:
    """Bars that do not open where the last closed, in a series whose bars do. Both may be the wrong one."""
    step_ms = check.timeframe.step_ms

    def unexplained(candles: pd.DataFrame) -> pd.DataFrame:
        breaks = continuity(candles, step_ms).breaks
        breaks = breaks[breaks["open_ms"].between(span.start, span.end, inclusive="left")]
        if breaks.empty:
            return breaks
        change = (breaks["open"] / breaks["close_before"]).map(np.log)
        breaks = breaks[~check.is_split(breaks["open_ms"], change, LEAST_JUMP)]
        if comparison is None:
            return breaks
        unshown = {*comparison.disagreements["open_ms"], *comparison.only_stored, *comparison.silent}
        is_shown = ~breaks["open_ms"].isin(unshown) & ~(breaks["open_ms"] - step_ms).isin(unshown)
        return breaks[~is_shown | (breaks["gap"] <= comparison.resolves)]

    breaks = unexplained(candles)
    if len(breaks):
        first_ms = breaks["open_ms"].to_numpy()
        bars = bar_intervals(np.unique([first_ms - step_ms, first_ms]), step_ms)
        if check.ask_primary_again(difference(bars, [*check.known("continuity", span), *check.told])):
            breaks = unexplained(check.candles(_around(check, span)))
    return [
        check.primary_finding(
            "continuity",
            "suspect",
            Interval(row["open_ms"] - step_ms, row["open_ms"] + step_ms),
            field="open",
            stored=row["open"],
            other=row["close_before"],
            difference=row["gap"],
            detail={"bound": row["bound"]},
        )
        for row in rows_of(breaks)
    ]


def _quantities(check: ValidationContext, span: Interval, candles: pd.DataFrame) -> list[Finding]:
    """Bars whose two volumes do not fit their prices: swapped columns, another unit."""
    step_ms = check.timeframe.step_ms

    def unfit(candles: pd.DataFrame) -> pd.DataFrame:
        return candles[unfitting(candles)]

    begin, end = candles["open_ms"].searchsorted([*span])
    bars = unfit(candles.iloc[begin:end])
    if len(bars) and check.ask_primary_again(
        difference(bar_intervals(bars["open_ms"].to_numpy(), step_ms), check.known("quantities", span))
    ):
        bars = unfit(check.candles(span))
    found = []
    for run in bar_intervals(bars["open_ms"].to_numpy(), step_ms):
        first = bars[bars["open_ms"] == run.start].iloc[0]
        quote_volume, volume, low, high = (first[name] for name in ("quote_volume", "volume", "low", "high"))
        says = f"{quote_volume:.10g} paid for {volume:.10g}, at {low:.10g} to {high:.10g}"
        found.append(
            check.primary_finding(
                "quantities", "disagree", run, field="quote_volume", stored=quote_volume, detail={"says": says}
            )
        )
    return found


def find_page_edges(check: ValidationContext) -> None:
    """Find equally spaced holes: a fetcher dropped page edges."""
    step_ms = check.timeframe.step_ms
    edges = page_edges(check.to_check().missing, step_ms)
    if edges and check.ask_primary_again(difference(edges.missing, check.known("page_edge", check.span))):
        edges = page_edges(check.to_check().missing, step_ms)
    found = (
        [
            check.primary_finding(
                "page_edge",
                "disagree",
                Interval(edges.missing[0].start, edges.missing[-1].end),
                detail={"every_bars": edges.every_bars, "missing": len(edges.missing)},
            )
        ]
        if edges
        else []
    )
    check.replace_findings(check.span, {"page_edge": found})

"""Compare a mark or index price with the instrument's other prices that are kept: mark, index and trades.

No source is asked, but the primary one again for what strays. A bar that strays from two others is wrong; one that
strays from the only other one is a suspect, since either may be wrong. One that agrees with one of two is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, difference
from backfill.domain.price_basis import Basis, basis
from backfill.domain.price_kinds import SUFFIXES, TRADE, contract_of, kind_of
from backfill.jobs.validate.validation_context import ValidationContext
from backfill.storage.series import SeriesWindow

KIND = "price_basis"
# Of one look: two days of minutes, and before them what shows the usual basis.
BARS_LOOKED_AT, BARS_BEFORE = 2880, 5000


def compare_prices(check: ValidationContext, *, thorough: bool = False) -> None:
    """Compare the newest bars; ``thorough``: all of the window."""
    if kind_of(check.window.symbol) == TRADE:
        return
    others = check.checks.series_of(others_of(check.window))
    if not others:
        return
    step_ms = check.timeframe.step_ms
    first_ms, end_ms = check.span.start, check.span.end
    if not thorough:
        first_ms = max(first_ms, end_ms - BARS_LOOKED_AT * step_ms)
    while first_ms < end_ms:
        span = Interval(max(first_ms, end_ms - BARS_LOOKED_AT * step_ms), end_ms)
        _look(check, span, others)
        end_ms = span.start


def others_of(window: SeriesWindow) -> list[str]:
    """The names of the instrument's other prices."""
    contract = contract_of(window.symbol)
    return [name for name in (contract, *(contract + suffix for suffix in SUFFIXES)) if name != window.symbol]


def _look(check: ValidationContext, span: Interval, others: Mapping[str, int]) -> None:
    strays = _strays(check, span, others)
    bars = bar_intervals(np.array(sorted(strays), dtype=np.int64), check.timeframe.step_ms)
    if bars and check.ask_primary_again(difference(bars, [*check.known(KIND, span), *check.told])):
        strays = _strays(check, span, others)
    found = [
        check.primary_finding(
            KIND,
            verdict,
            Interval(open_ms, open_ms + check.timeframe.step_ms),
            field=row["field"],
            stored=row["stored"],
            other=row["other"],
            difference=row["difference"],
            detail={"beside": name, "usual": row["usual"], "bound": row["bound"]},
        )
        for open_ms, (verdict, name, row) in sorted(strays.items())
    ]
    check.replace_findings(span, {KIND: found})


def _strays(check: ValidationContext, span: Interval, others: Mapping[str, int]) -> dict[int, tuple[str, str, Any]]:
    """By open time: the verdict, and the price that it strays from furthest beyond the bound."""
    step_ms = check.timeframe.step_ms
    around = Interval(span.start - BARS_BEFORE * step_ms, span.end)
    own = check.store.candles(check.window.series_id, around)
    found: dict[str, Basis] = {name: basis(own, check.store.candles(number, around)) for name, number in others.items()}
    for name, one in found.items():
        if one.resolves == one.resolves:  # not NaN
            check.resolves[name] = max(one.resolves, check.resolves.get(name, 0.0))
    strays: dict[int, tuple[str, str, Any]] = {}
    rows = [(name, row) for name, one in found.items() for row in one.strays.to_dict("records")]
    for name, row in sorted(rows, key=lambda each: abs(each[1]["difference"] - each[1]["usual"]) / each[1]["bound"]):
        open_ms = int(row["open_ms"])
        beside = [other for other, one in found.items() if open_ms in one.compared]
        from_all = all(open_ms in found[other].strays["open_ms"].to_numpy() for other in beside)
        if span.start <= open_ms < span.end and from_all:
            strays[open_ms] = ("disagree" if len(beside) > 1 else "suspect", name, row)
    return strays

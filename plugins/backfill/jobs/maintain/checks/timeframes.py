"""Compare stored coarser bars with sums of finer ones from the same primary source.

Each timeframe is checked against the nearest coarser one, a finding per bucket and field that differs; if most of a
pair differ, one finding names the fault if ``domain.misfiled`` can. Rows are shared with ``prove_by_timeframe``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from backfill.domain.intervals import Interval, intersection, total_ms
from backfill.domain.timeframes import Timeframe, timeframe
from backfill.jobs.maintain.checks.scope import Scope, some
from backfill.storage.findings import Finding
from backfill.storage.ledger_audit import AuditedSeries

if TYPE_CHECKING:
    import pandas as pd

    from backfill.domain.next_timeframe import TimeframeProof

# About 5 MB in memory.
CHUNK_BARS = 50_000
# From this many buckets, this share wrong means a wrong series.
FEWEST_BUCKETS, WRONG_SHARE = 10, 0.5
KINDS = ("timeframes", "hour_shift", "wrong_instrument", "wrong_scale")


class _Pair(NamedTuple):
    finer: AuditedSeries
    coarser: AuditedSeries
    fine: Timeframe
    coarse: Timeframe


def timeframes(scope: Scope) -> Iterator[Finding]:
    """Findings of all pairs, oldest chunk first."""
    for pair in _pairs(scope):
        for chunk in _chunks(pair):
            yield from _compared(scope, pair, chunk)


def settle_timeframes(scope: Scope, began: datetime) -> None:
    """Settle findings not seen again by the audit that began at ``began``."""
    for pair in _pairs(scope):
        looked_at = intersection(pair.finer.native, pair.coarser.native)
        scope.audit.settle_timeframes(KINDS, pair.finer.series_id, pair.finer.primary_id, looked_at, began)


def _pairs(scope: Scope) -> Iterator[_Pair]:
    from backfill.domain.next_timeframe import coarser

    by_instrument = sorted(scope.read_series().values(), key=lambda one: one.instrument_id)
    for _, group in groupby(by_instrument, key=lambda one: one.instrument_id):
        kept = {one.timeframe: one for one in group if one.primary_id is not None and one.native}
        for finer in kept.values():
            options = [kept[one.name] for one in coarser(finer.timeframe) if one.name in kept]
            if options and options[0].primary_id == finer.primary_id:
                yield _Pair(finer, options[0], timeframe(finer.timeframe), timeframe(options[0].timeframe))


def _chunks(pair: _Pair) -> Iterator[Interval]:
    """Whole coarse bars that both have natively, cut to fit memory."""
    longest_ms = max(pair.coarse.step_ms, pair.coarse.step_ms * (CHUNK_BARS * pair.fine.step_ms // pair.coarse.step_ms))
    both = intersection(pair.finer.native, pair.coarser.native)
    yield from _joined(both, pair.coarse, longest_ms)


def _joined(both: list[Interval], coarse: Timeframe, longest_ms: int) -> Iterator[Interval]:
    """Spans that cover ``both``; holes within are harmless."""
    cursor: Interval | None = None
    for start, end in both:
        first, past = coarse.ceil(start), coarse.floor(end)
        while first < past:
            if cursor is not None and first < cursor.start + longest_ms:
                cursor = Interval(cursor.start, min(past, cursor.start + longest_ms))
            else:
                if cursor is not None:
                    yield cursor
                cursor = Interval(first, min(past, first + longest_ms))
            first = cursor.end
    if cursor is not None:
        yield cursor


def _compared(scope: Scope, pair: _Pair, chunk: Interval) -> Iterator[Finding]:
    from backfill.domain.next_timeframe import prove

    fine, coarse = _native(scope, pair.finer, chunk), _native(scope, pair.coarser, chunk)
    proof = prove(fine, coarse, pair.fine, pair.coarse, chunk, absent=[])
    if not len(proof.differing):
        return
    wrong, looked_at = _buckets(pair, proof)
    if looked_at >= FEWEST_BUCKETS and wrong >= WRONG_SHARE * looked_at:
        yield _one_fault(pair, fine, coarse, proof)
        return
    for row in proof.differing.to_dict("records"):
        mine, theirs = row["lower_value"], row["higher_value"]
        yield Finding(
            "timeframes",
            "disagree",
            pair.finer.series_id,
            pair.finer.primary_id,
            row["open_ms"],
            row["open_ms"] + pair.coarse.step_ms,
            field=row["field"],
            stored=mine,
            other=theirs,
            difference=row["difference"],
            detail={
                "timeframe": pair.coarse.name,
                "says": f"its bars make a {row['field']} of {mine:.10g}, {pair.coarse.name} has {theirs:.10g}",
            },
        )


def _one_fault(pair: _Pair, fine: pd.DataFrame, coarse: pd.DataFrame, proof: TimeframeProof) -> Finding:
    from backfill.domain.misfiled import diagnose
    from backfill.domain.next_timeframe import aggregate

    wrong, looked_at = _buckets(pair, proof)
    sums = aggregate(fine, pair.coarse)
    whole = sums[sums["bars"] == pair.coarse.step_ms // pair.fine.step_ms]
    fault = diagnose(whole, coarse, step_ms=pair.coarse.step_ms, same_venue=True)
    share = f"{wrong:,} of {some(looked_at, 'bar')} of {pair.coarse.name} are not what its bars make"
    return Finding(
        fault.fault if fault else "timeframes",
        "disagree",
        pair.finer.series_id,
        pair.finer.primary_id,
        int(proof.differing["open_ms"].min()),
        int(proof.differing["open_ms"].max()) + pair.coarse.step_ms,
        detail={
            "timeframe": pair.coarse.name,
            "wrong": wrong,
            "of": looked_at,
            "says": f"{share}: {fault.reason}" if fault else share,
        },
    )


def _buckets(pair: _Pair, proof: TimeframeProof) -> tuple[int, int]:
    wrong = int(proof.differing["open_ms"].nunique())
    return wrong, wrong + total_ms(proof.equal) // pair.coarse.step_ms


def _native(scope: Scope, series: AuditedSeries, chunk: Interval) -> pd.DataFrame:
    stored = scope.store.candles(series.series_id, chunk)
    return stored[stored["source_id"] == series.primary_id]

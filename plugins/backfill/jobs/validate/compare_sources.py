"""Compare stored candles with another source of the same class: the newest page and samples of old ones.

What differs by more than the market allows is fetched again from the primary source; if it still differs, a third
source votes. Pages that no other source has are `unverified`, neither good nor bad.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backfill.domain.agreement import DISAGREEMENT_COLUMNS, Comparison, compare, votes
from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, difference, intersection, total_ms
from backfill.domain.misfiled import Diagnosis, diagnose
from backfill.domain.timeframes import MINUTE_MS
from backfill.errors import ExchangeError, SymbolNotListed
from backfill.jobs.validate.find_suspicious import find_page_edges, find_suspicious
from backfill.jobs.validate.validation_context import ValidationContext, evidence, rows_of
from backfill.sources.candle_source import CandlePage, CandleSource
from backfill.storage.findings import Finding

if TYPE_CHECKING:
    import pandas as pd

# Interval of Dag runs.
RUN_EVERY_MS = 30 * MINUTE_MS
# Page length in bars when no source can be asked.
ROWS_OF_NOBODY = 300
MISFILED = ("hour_shift", "wrong_scale", "wrong_instrument")
KINDS = ("cross_source", *MISFILED)


@dataclass
class _Compared:
    """One page of stored bars beside another source's."""

    span: Interval
    source: CandleSource
    source_id: int
    page: CandlePage
    comparison: Comparison
    stored: pd.DataFrame
    has_vote: bool = False

    @property
    def other(self) -> pd.DataFrame:
        """The other source's sound bars within the span."""
        return _within(self.page.sound, self.span)

    @property
    def is_settled(self) -> bool:
        """Whether no third source needs to vote."""
        return self.has_vote or self.comparison.disagreements.empty


def compare_sources(check: ValidationContext, others: Iterator[CandleSource | ExchangeError]) -> None:
    """Compare what is due. ``others``: non-primary sources, best first, or why one cannot be asked."""
    if not pages_due(check, ROWS_OF_NOBODY):
        return
    compared: list[_Compared] = []
    left: list[Interval] | None = None
    all_answered = True
    for source in others:
        if isinstance(source, ExchangeError):
            check.tell([source])
            all_answered &= isinstance(source, SymbolNotListed)
            continue
        _vote(check, source, compared)
        done, left, answered = _compared(
            check, source, pages_due(check, source.rows_per_page) if left is None else left
        )
        all_answered &= answered
        compared += done
        if not left and all(one.is_settled for one in compared):
            break
    for one in compared:
        _write_down(check, one)
        find_suspicious(check, one.span, one.other, one.comparison)
    if left is None:
        left = pages_due(check, ROWS_OF_NOBODY)
    _unverified(check, left, nobody_has_it=all_answered)
    find_page_edges(check)


def pages_due(check: ValidationContext, rows: int) -> list[Interval]:
    """Spans to compare now, at most ``rows`` bars long: the newest page and a share of old ones.

    Bounds are multiples of half a page: runs reuse the same spans, and no shorter page replaces a longer one with the
    same start.
    """
    to_check, step_ms = check.to_check(), check.timeframe.step_ms
    fresh = difference(to_check.held, to_check.compared)
    slot_ms = max(1, rows // 2) * step_ms
    pages: list[Interval] = []
    if not check.validation.newest_page:
        # Only finished slots: new bars would use up the share.
        fresh = intersection(fresh, [Interval(0, check.at_ms // slot_ms * slot_ms)])
    elif fresh and fresh[-1].end == to_check.held[-1].end:
        pages.append(_page_before(fresh[-1].end, slot_ms, check.span))
    if check.validation.every_ms is not None:
        in_all = total_ms([check.span]) / (2 * slot_ms)
        share = max(1, math.ceil(in_all / max(1.0, check.validation.every_ms / RUN_EVERY_MS)))
        for _ in range(share):
            fresh = difference(fresh, pages)
            if not fresh:
                break
            # Unverified bars come last.
            first = difference(fresh, to_check.unverified) or fresh
            slot_end_ms = -(-first[-1].end // slot_ms) * slot_ms
            pages.append(_page_before(min(slot_end_ms, to_check.held[-1].end), slot_ms, check.span))
    return pages


def _page_before(end_ms: int, slot_ms: int, span: Interval) -> Interval:
    return Interval(max(span.start, (end_ms - 1) // slot_ms * slot_ms - slot_ms), end_ms)


def _compared(
    check: ValidationContext, source: CandleSource, pages: Sequence[Interval]
) -> tuple[list[_Compared], list[Interval], bool]:
    """Also return pages not covered, and whether every request was answered."""
    done: list[_Compared] = []
    left: list[Interval] = []
    from_ms = source.serves_from_ms()
    for place, span in enumerate(pages):
        is_served = from_ms is None or span.start >= from_ms
        stored = _comparable(check, check.store.source_id(source.name), span) if is_served else None
        if stored is None or stored.empty:
            left.append(span)
            continue
        try:
            page = check.page(source, check.timeframe, span.end)
        except ExchangeError as error:
            check.tell([error])
            return done, [*left, *pages[place:]], False
        covered = intersection([span], [page.covers] if page.covers else [])
        common = covered[0] if covered else Interval(span.end, span.end)
        one = _compare(check, source, page, common, _within(stored, common))
        if one.comparison.compared:
            _ask_primary_again(check, one)
            done.append(one)
        else:
            left.append(span)
    return done, left, True


def _comparable(check: ValidationContext, source_id: int, span: Interval) -> pd.DataFrame:
    """Without the source's own and spot candles."""
    stored = check.candles(span)
    return stored[~stored["source_id"].isin([source_id, *check.spot_ids])]


def _compare(
    check: ValidationContext, source: CandleSource, page: CandlePage, span: Interval, stored: pd.DataFrame
) -> _Compared:
    comparison = compare(
        stored, _within(page.sound, span), step_ms=check.timeframe.step_ms, ceiling=check.validation.ceiling_pct / 100
    )
    return _Compared(span, source, check.store.source_id(source.name), page, comparison, stored)


def _ask_primary_again(check: ValidationContext, one: _Compared) -> None:
    """Fetch disputed bars again, at most once a day; all of a page that is wrong as a whole.

    Twice: many wrong bars widen the tolerance for others, until corrected.
    """
    asked = check.known("cross_source", one.span)
    for _ in range(2):
        disputed_ms = np.unique(one.comparison.disagreements["open_ms"].to_numpy(dtype=np.int64))
        bars = difference(bar_intervals(disputed_ms, check.timeframe.step_ms), asked)
        if bars and _fault(check, one) is not None:
            bars = difference(bar_intervals(one.stored["open_ms"].to_numpy(), check.timeframe.step_ms), asked)
        if not bars or not check.ask_primary_again(bars):
            return
        asked = [*asked, *bars]
        stored = _comparable(check, one.source_id, one.span)
        again = _compare(check, one.source, one.page, one.span, stored)
        one.comparison, one.stored = again.comparison, again.stored


def _vote(check: ValidationContext, source: CandleSource, compared: Sequence[_Compared]) -> None:
    """A source has no vote on its own candles."""
    voter_id = check.store.source_id(source.name)
    for one in compared:
        if one.is_settled:
            continue
        try:
            third = _within(check.page(source, check.timeframe, one.span.end).sound, one.span)
        except ExchangeError as error:
            check.tell([error])
            return
        its_own = one.stored.loc[one.stored["source_id"] == voter_id, "open_ms"]
        voted = votes(one.comparison.disagreements[DISAGREEMENT_COLUMNS], third[~third["open_ms"].isin(its_own)])
        voted["voter"] = source.name
        one.comparison = replace(one.comparison, disagreements=voted)
        one.has_vote = bool((voted["vote"] != "missing").any())


def _write_down(check: ValidationContext, one: _Compared) -> None:
    comparison, disputed = one.comparison, one.comparison.disagreements
    fault = _fault(check, one)
    if fault is not None:
        found = [
            Finding(
                fault.fault, "disagree", check.window.series_id, one.source_id, one.span.start, one.span.end,
                detail=evidence(fault),
            )
        ]  # fmt: skip
    else:
        found = [_disagreement(check, one, row) for row in rows_of(disputed)]
    open_bars = len({finding.start_ms for finding in found if finding.status == "open"})
    page = Finding(
        "cross_source", "disagree" if open_bars else "agree", check.window.series_id, one.source_id,
        one.span.start, one.span.end, status="settled",
        detail={
            "compared": comparison.compared,
            "agreed": comparison.agreed,
            "silent": len(comparison.silent),
            "resolves": comparison.resolves,
            "only_stored": len(comparison.only_stored),
            "only_other": len(comparison.only_other),
        },
    )  # fmt: skip
    with check.store.page_transaction():
        still_there = check.findings.record([*found, page], check.fill_run_id)
        check.findings.settle(KINDS, check.window.series_id, one.span, still_there=still_there, source_id=one.source_id)
        check.forget_page_checks(one.span)
    check.counts["compared"] += comparison.compared
    check.counts["agreed"] += comparison.agreed
    check.counts["disagree"] += open_bars
    check.counts["silent"] += len(comparison.silent)
    check.resolves[one.source.name] = max(comparison.resolves, check.resolves.get(one.source.name, 0.0))
    check.counts["only_stored"] += len(comparison.only_stored)
    check.counts["only_other"] += len(comparison.only_other)


def _fault(check: ValidationContext, one: _Compared) -> Diagnosis | None:
    """What is wrong with the whole page, if anything."""
    return diagnose(
        one.stored, one.page.sound, step_ms=check.timeframe.step_ms, ceiling=check.validation.ceiling_pct / 100
    )


def _disagreement(check: ValidationContext, one: _Compared, row: Mapping[Any, Any]) -> Finding:
    vote = row.get("vote")
    detail: dict[str, Any] = {
        "tolerance": row["tolerance"],
        "offset": row["offset"],
        "resolves": one.comparison.resolves,
    }
    if vote is not None:
        detail |= {"vote": vote, "voter": row["voter"]}
        if vote != "missing":
            detail["third"] = row["third"]
    upheld = vote == "stored"
    return Finding(
        "cross_source",
        "agree" if upheld else "disagree",
        check.window.series_id,
        one.source_id,
        row["open_ms"],
        row["open_ms"] + check.timeframe.step_ms,
        field=row["field"],
        stored=row["stored"],
        other=row["other"],
        difference=row["difference"],
        detail=detail,
        status="settled" if upheld else "open",
    )


def _unverified(check: ValidationContext, pages: Sequence[Interval], *, nobody_has_it: bool) -> None:
    """``nobody_has_it``: every source lacks these bars, which counts as long as a comparison."""
    why = list(dict.fromkeys(str(error) for error in check.errors)) or ["no other source has these bars"]
    detail: dict[str, Any] = {"why": why, "nobody_has_it": nobody_has_it}
    held = check.to_check().held if pages else []
    for span in pages:
        page = Finding(
            "cross_source", "unverified", check.window.series_id, None, span.start, span.end, status="settled",
            detail=detail,
        )  # fmt: skip
        check.findings.record([page], check.fill_run_id)
        check.counts["unverified"] += total_ms(intersection(held, [span])) // check.timeframe.step_ms
        find_suspicious(check, span, None, None)


def _within(candles: pd.DataFrame, span: Interval) -> pd.DataFrame:
    first, past = candles["open_ms"].searchsorted([*span])
    return candles.iloc[first:past]

"""Check finer bars against coarser bars of the primary source.

An exchange makes both from the same trades, so they must add up. This separates "no trade" from "lost" where bars are
missing, and finds wrong values elsewhere. Bars that do not add up are fetched again before they are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from backfill.domain.answers import LATE_MS, bar_intervals
from backfill.domain.intervals import Interval, difference, intersection, total_ms, union
from backfill.domain.misfiled import diagnose
from backfill.domain.next_timeframe import TimeframeProof, aggregate, coarser, prove
from backfill.domain.page_plan import plan_pages
from backfill.domain.price_kinds import TRADE, kind_of
from backfill.domain.silence import plausible
from backfill.domain.timeframes import DAY_MS, Timeframe
from backfill.domain.venues import venue
from backfill.errors import ExchangeError
from backfill.jobs.validate.validation_context import ValidationContext, evidence
from backfill.storage.findings import Finding

if TYPE_CHECKING:
    import pandas as pd

# Pages of coarser bars per run.
MOST_PAGES = 4
# Own pages asked for a second time per run.
MOST_CONFIRMING_PAGES = 10
# About 5 MB in memory; a page of 1d would be four years of minutes.
CHUNK_BARS = 50_000
# New bars are proved by the day, since a proof costs a request.
WORTH_A_PAGE_MS = DAY_MS
# From this many buckets, this share wrong means a wrong series.
FEWEST_BUCKETS, WRONG_SHARE = 10, 0.5
# Silences in doubt for longer are reported.
DOUBTFUL_FOR = timedelta(hours=24)
KINDS = ("lost_bars", "timeframes", "hour_shift", "wrong_instrument", "wrong_scale")


def prove_by_timeframe(check: ValidationContext, *, sample: bool) -> None:
    """Prove bars confirmed absent, and new bars where coarser ones are stored.

    ``sample``: also elsewhere, which costs requests.
    """
    prover = _Prover(check)
    to_check = check.to_check()
    due = list(to_check.unexplained)
    fresh = difference(to_check.native, to_check.proved)
    if (sample or prover.stored_series_id is not None) and total_ms(fresh) >= min(
        WORTH_A_PAGE_MS, total_ms([check.span])
    ):
        due += fresh
    for chunk in prover.chunks(due):
        # Without usable coarser bars, a second answer is the best evidence.
        if not prover.decides(chunk) and not (sample and check.ask_primary_again(intersection(fresh, [chunk]))):
            break
    _confirm_silence(check)
    check.store.silences.settle_lost_bars(check.window)


def _confirm_silence(check: ValidationContext) -> None:
    """Only a plausible silence is believed when repeated; fills handle others."""
    silence = check.store.silences.of(check.window, check.primary_id)
    once = difference(silence.doubtful, silence.confirmed)
    once = plausible(once, silence.held, silence.silent, check.timeframe.step_ms)
    pages = plan_pages(once, check.timeframe.step_ms, check.primary.rows_per_page if once and check.primary else 1)
    asked = [Interval(page.reach_ms, page.after_ms) for page in pages[:MOST_CONFIRMING_PAGES]]
    check.ask_primary_again(intersection(once, asked))
    _report_doubts(check)


def _report_doubts(check: ValidationContext) -> None:
    silences = check.store.silences
    lost = [check.primary_finding("lost_bars", "lost", bars) for bars in silences.unreported_losses(check.window)]
    doubtful = [
        check.primary_finding("doubtful_silence", "doubtful", bars)
        for bars in silences.doubtful_for(check.window, DOUBTFUL_FOR)
    ]
    check.findings.record(lost, check.fill_run_id)
    still_there = check.findings.record(doubtful, check.fill_run_id)
    check.findings.settle(["doubtful_silence"], check.window.series_id, check.span, still_there=still_there)


class _Prover:
    """Proves one series by a coarser timeframe, preferably a stored one."""

    def __init__(self, check: ValidationContext) -> None:
        self._check = check
        kept = check.store.silences.kept_timeframes(check.window)
        options = coarser(check.timeframe.name)
        (primary,) = check.store.source_names([check.primary_id])
        self._primary_name = primary
        published = (one for one in options if venue(primary).serves(one.name))
        self._coarse = next((one for one in options if one.name in kept), next(published, None))
        self.stored_series_id = kept.get(self._coarse.name) if self._coarse else None

    @cached_property
    def _fills_silence(self) -> bool:
        """A source that sends bars without trades has lost missing ones, whatever adds up."""
        known = venue(self._primary_name).fills_no_trade or kind_of(self._check.window.symbol) != TRADE
        return known or self._check.store.silences.has_flat_bars(self._check.window, self._check.primary_id)

    def chunks(self, due: Sequence[Interval]) -> list[Interval]:
        """Spans to prove, newest first: whole closed coarse bars.

        At most one page each if requested, else what fits in memory with finer bars.
        """
        check, coarse = self._check, self._coarse
        if not due or coarse is None or (self.stored_series_id is None and check.primary is None):
            return []
        first = coarse.ceil(check.span.start)
        over = coarse.floor(min(check.span.end, check.at_ms - LATE_MS))
        buckets = union(Interval(coarse.floor(start), coarse.ceil(end)) for start, end in due)
        if self.stored_series_id is None:
            rows = check.primary.rows_per_page if check.primary else venue(self._primary_name).rows_per_page
        else:  # limited by memory only, not by pages
            rows = max(1, CHUNK_BARS * check.timeframe.step_ms // coarse.step_ms)
        pages = plan_pages(intersection(buckets, [Interval(first, max(first, over))]), coarse.step_ms, rows)
        return [Interval(page.reach_ms, page.after_ms) for page in pages][:MOST_PAGES]

    def decides(self, chunk: Interval) -> bool:
        """Prove one span; whether coarser bars decided anything."""
        try:
            proof = self._prove(chunk)
        except ExchangeError as error:
            self._check.tell([error])
            return False
        return any(len(told) for told in proof)

    def _prove(self, chunk: Interval) -> TimeframeProof:
        check, coarse = self._check, self._coarse
        assert coarse is not None  # noqa: S101 - it made the chunk
        coarse_bars, covers, unpublished = self._coarse_bars(coarse, chunk)
        fine, proof = self._proof(coarse, coarse_bars, covers, unpublished)
        doubted = union([*proof.lost, *_buckets(proof.differing, coarse)])
        if doubted and check.ask_primary_again(intersection(doubted, [check.span])):
            fine, proof = self._proof(coarse, coarse_bars, covers, unpublished)
        self._write_down(coarse, chunk, proof, self._fault(coarse, fine, coarse_bars, proof))
        return proof

    def _coarse_bars(self, coarse: Timeframe, chunk: Interval) -> tuple[pd.DataFrame, Interval, list[Interval]]:
        """Coarse bars, the span they cover, and bars missing in it."""
        check = self._check
        if self.stored_series_id is None:
            assert check.primary is not None  # noqa: S101
            page = check.page(check.primary, coarse, chunk.end)
            covers = intersection([chunk], [page.covers] if page.covers else [])
            return page.sound, covers[0] if covers else Interval(chunk.end, chunk.end), []
        stored = check.store.candles(self.stored_series_id, chunk)
        stored = stored[stored["source_id"] == check.primary_id]
        there = bar_intervals(stored["open_ms"].to_numpy(), coarse.step_ms)
        return stored, chunk, difference([chunk], there)

    def _proof(
        self, coarse: Timeframe, coarse_bars: pd.DataFrame, covers: Interval, unpublished: Sequence[Interval]
    ) -> tuple[pd.DataFrame, TimeframeProof]:
        check = self._check
        fine = check.candles(covers)
        foreign = fine[fine["source_id"] != check.primary_id]["open_ms"].to_numpy()
        excluded = [*bar_intervals(foreign, check.timeframe.step_ms), *unpublished]
        fine = fine[fine["source_id"] == check.primary_id]
        denied = check.to_check().denied
        closed = check.window.closed
        proof = prove(fine, coarse_bars, check.timeframe, coarse, covers, denied, union(excluded), closed)
        return fine, proof._replace(no_trade=[]) if self._fills_silence else proof

    def _fault(
        self, coarse: Timeframe, fine: pd.DataFrame, coarse_bars: pd.DataFrame, proof: TimeframeProof
    ) -> Finding | None:
        """One fault behind most differences, if any."""
        wrong = proof.differing["open_ms"].nunique()
        looked_at = wrong + total_ms(proof.equal) // coarse.step_ms
        if looked_at < FEWEST_BUCKETS or wrong < WRONG_SHARE * looked_at:
            return None
        sums = aggregate(fine, coarse)
        whole = sums[sums["bars"] == coarse.step_ms // self._check.timeframe.step_ms]
        fault = diagnose(whole, coarse_bars, step_ms=coarse.step_ms, same_venue=True)
        if fault is None:
            return None
        return self._check.primary_finding(
            fault.fault,
            "disagree",
            Interval(int(proof.differing["open_ms"].min()), int(proof.differing["open_ms"].max()) + coarse.step_ms),
            detail={"timeframe": coarse.name, **evidence(fault)},
        )

    def _write_down(self, coarse: Timeframe, chunk: Interval, proof: TimeframeProof, fault: Finding | None) -> None:
        check = self._check
        found = [
            check.primary_finding("lost_bars", "lost", bars, detail={"timeframe": coarse.name}) for bars in proof.lost
        ]
        if fault is not None:
            found.append(fault)
        else:
            found += [
                check.primary_finding(
                    "timeframes",
                    "disagree",
                    Interval(row["open_ms"], row["open_ms"] + coarse.step_ms),
                    field=row["field"],
                    stored=row["lower_value"],
                    other=row["higher_value"],
                    difference=row["difference"],
                    detail={"timeframe": coarse.name},
                )
                for row in proof.differing.to_dict("records")
            ]
        wrong = proof.differing["open_ms"].nunique()
        page = check.primary_finding(
            "next_timeframe",
            "disagree" if wrong else "agree",
            chunk,
            status="settled",
            detail={
                "timeframe": coarse.name,
                "equal": total_ms(proof.equal) // coarse.step_ms,
                "disagree": wrong,
                "no_trade": total_ms(proof.no_trade) // check.timeframe.step_ms,
                "lost": total_ms(proof.lost) // check.timeframe.step_ms,
            },
        )
        with check.store.silences.writing_proof():
            check.store.silences.record_proof(check.window, proof.no_trade, proof.lost)
            still_there = check.findings.record([*found, page], check.fill_run_id)
            check.findings.settle(
                KINDS, check.window.series_id, chunk, still_there=still_there, source_id=check.primary_id
            )
        check.counts.update({f"{name}_proved": int(n) for name, n in page.detail.items() if name != "timeframe"})


def _buckets(differing: pd.DataFrame, coarse: Timeframe) -> list[Interval]:
    return bar_intervals(differing["open_ms"].drop_duplicates().sort_values().to_numpy(), coarse.step_ms)

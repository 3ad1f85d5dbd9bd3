"""Check one series for completeness, sums of its bars, and agreement with other sources.

Suspect bars are fetched again from the primary source and replaced. What remains is a finding. One row of
``gap_fill_runs`` records the validation.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backfill.config.universe_model import Validation
from backfill.domain.gap_severity import severity
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import MINUTE_MS, utc
from backfill.errors import DatabaseError, ExchangeError, Stopped
from backfill.jobs.fill.fill_gaps import PATIENCE_S
from backfill.jobs.validate.compare_prices import compare_prices
from backfill.jobs.validate.compare_sources import compare_sources
from backfill.jobs.validate.prove_by_timeframe import prove_by_timeframe
from backfill.jobs.validate.reread_old import reread_old, reread_stand_ins
from backfill.jobs.validate.reread_unsettled import reread_unsettled
from backfill.jobs.validate.validation_context import ValidationContext
from backfill.sources.candle_source import CandleSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.rereads import Rereads
from backfill.storage.series import OpenWork, Selection, SeriesWindow
from backfill.storage.series_status import leaving_reach

log = logging.getLogger(__name__)

# A gap younger than two runs of the Dag does not count yet.
EXCUSED_MS = 60 * MINUTE_MS
MAX_GAPS_SHOWN = 3
EVERY_GAP = 1_000_000


@dataclass(frozen=True)
class ValidationReport:
    """Outcome of one validation, in bars; ``problems`` is empty when all is well.

    ``coverage_pct``: without gaps too young to count. ``counts``: bars compared and proved; no other source had
    `unverified` ones, in `silent` ones one side did not trade. ``resolves_pct``: by source or price compared, the
    smallest fault of a whole bar that shows beside it. ``notes``: need no action.
    """

    symbol: str
    timeframe: str
    coverage_pct: float
    objective_pct: float
    missing: int
    counts: dict[str, int]
    resolves_pct: dict[str, float]
    open_findings: dict[str, int]
    quarantined: int
    requests: int
    problems: list[str]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dict."""
        return dict(vars(self))

    @property
    def resolved(self) -> list[str]:
        """What size of fault shows beside each source, for people."""
        return [f"{size:.2g} % beside {name}" for name, size in self.resolves_pct.items()]

    def __str__(self) -> str:
        said = "; ".join([*self.problems, *self.notes]) or "all is well"
        resolves = f"; resolves {', '.join(self.resolved)}" if self.resolved else ""
        return f"{self.symbol} {self.timeframe}: {self.coverage_pct:.2f} % held, {said}{resolves}"


def validate_series(
    store: CandleStore,
    primary: Iterator[CandleSource | ExchangeError],
    others: Iterator[CandleSource | ExchangeError],
    window: SeriesWindow,
    who: RunIdentity,
    validation: Validation,
    *,
    at: datetime,
    stand_ins: Iterator[CandleSource | ExchangeError] | None = None,
    thorough: bool = False,
    patience_s: float = PATIENCE_S,
) -> ValidationReport:
    """Check ``window`` and repair it from the primary source.

    ``primary``: the source, or why it cannot be asked; ``others``: the rest, best first. Each is opened only if needed.
    ``stand_ins``: the sources of stand-ins that another writer changed. ``thorough``: also request coarser bars where
    nothing is unexplained. Source errors end up in the report. Raises database errors and :class:`SeriesBusy`.
    """
    with store.working_on(window, patience_s):
        return _Validation(store, window, who, validation, at).run(
            primary, others, stand_ins or iter(()), thorough=thorough
        )


class _Validation:
    """One validation and its row in the log."""

    def __init__(
        self, store: CandleStore, window: SeriesWindow, who: RunIdentity, validation: Validation, at: datetime
    ) -> None:
        self.store = store
        self.window = window
        self.log = store.run_log
        self.after: OpenWork | None = None
        self.fill_run_id = self.log.start(who, window, store.open_work(window), to_validate=True)
        self.check = ValidationContext(store, window, validation, self.fill_run_id, store.health(who.run_id), at)

    def run(
        self,
        primary: Iterator[CandleSource | ExchangeError],
        others: Iterator[CandleSource | ExchangeError],
        stand_ins: Iterator[CandleSource | ExchangeError],
        *,
        thorough: bool,
    ) -> ValidationReport:
        """Run all checks and log the outcome."""
        try:
            self.store.prepare(self.window)
            self.check.primary_sources = primary
            reread_unsettled(self.check)
            reread_stand_ins(self.check, stand_ins)
            reread_old(self.check)
            if self.check.validation.next_timeframe:
                prove_by_timeframe(self.check, sample=thorough)
            compare_sources(self.check, others)
            compare_prices(self.check, thorough=thorough)
            self.check.forget_page_checks(Interval(self.window.start_ms, self.window.start_ms))
            Rereads(self.store, self.window).settle_mended()
            report = self._report()
        except BaseException as error:
            with suppress(DatabaseError):
                self._finish("partial" if isinstance(error, Stopped) else "failed", str(error) or type(error).__name__)
            raise
        status = "complete" if report.missing == 0 else "partial"
        if report.problems and self.check.validation.on_failure == "fail":
            status = "failed"
        self._finish(status, "; ".join(report.problems) or None, report)
        log.info("%s", report)
        return report

    def _report(self) -> ValidationReport:
        window, check = self.window, self.check
        excused_ms = check.timeframe.floor(check.at_ms - EXCUSED_MS)
        mature = window._replace(end_ms=max(window.start_ms, min(window.end_ms, excused_ms)))
        work = self.store.open_work(mature) if mature.start_ms < mature.end_ms else OpenWork(0, 0, 0, [])
        self.after = self.store.open_work(window)
        open_findings, suspects, quarantined = check.checks.open_problems()
        problems = []
        if work.coverage_pct < window.objective_pct:
            problems.append(
                f"{work.coverage_pct:.3f} % of its bars are held, the objective is {window.objective_pct:g} %: "
                f"{work.missing_candles:,} are missing, the worst gaps {self._worst_gaps(mature)}; "
                "run `backfill fill`, or trigger candles_fill_gaps with recheck"
            )
        elif work.gaps_found and (major := self._major_gaps(mature)):
            problems.append(
                f"{major} gaps are longer than {check.validation.max_gap_minutes} minutes, "
                f"the worst {self._worst_gaps(mature)}; run `backfill fill`"
            )
        which = Selection(
            utc(check.at_ms), symbols=[window.symbol], timeframes=[window.timeframe],
            from_ms=window.start_ms, to_ms=window.end_ms,
        )  # fmt: skip
        problems += [str(one) for one in leaving_reach(self.store, which, EXCUSED_MS)]
        if open_findings:
            counted = ", ".join(f"{count} {kind}" for kind, count in sorted(open_findings.items()))
            problems.append(f"open findings: {counted}; look with `backfill findings --symbols {window.symbol}`")
        notes = []
        if quarantined:  # their bars rest, and a person may decide at any time
            notes.append(
                f"{quarantined} rows in quarantine; decide with `backfill quarantine list --symbols {window.symbol}`"
            )
        if check.counts["unverified"]:
            notes.append(f"{check.counts['unverified']} bars unverified: no other source has answered for them")
        if suspects:
            notes.append(
                f"{suspects} suspects that no other source could clear; "
                f"look with `backfill findings --symbols {window.symbol}`"
            )
        notes += list(dict.fromkeys(str(error) for error in check.errors))
        return ValidationReport(
            symbol=window.symbol,
            timeframe=window.timeframe,
            coverage_pct=work.coverage_pct,
            objective_pct=window.objective_pct,
            missing=self.after.missing_candles,
            counts=dict(check.counts),
            resolves_pct={name: round(100 * size, 4) for name, size in check.resolves.items()},
            open_findings=open_findings,
            quarantined=quarantined,
            requests=check.requests.made,
            problems=problems,
            notes=notes,
        )

    def _major_gaps(self, window: SeriesWindow) -> int:
        gaps = self.check.checks.worst_gaps(Interval(window.start_ms, window.end_ms), EVERY_GAP)
        step_ms, acceptable = self.check.timeframe.step_ms, self.check.validation.max_gap_minutes
        return sum(severity(gap.bars * step_ms, acceptable) == "major" for gap in gaps)

    def _worst_gaps(self, window: SeriesWindow) -> str:
        gaps = self.check.checks.worst_gaps(Interval(window.start_ms, window.end_ms), MAX_GAPS_SHOWN)
        return ", ".join(f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} ({bars:,})" for start, end, bars in gaps)

    def _finish(self, status: str, error: str | None, report: ValidationReport | None = None) -> None:
        self.log.finish(
            self.fill_run_id, status, self.after or self.store.open_work(self.window), self.check.requests, error,
            validation={} if report is None else {
                "coverage_pct": report.coverage_pct, "objective_pct": report.objective_pct,
                "open_findings": report.open_findings, "quarantined": report.quarantined, **report.counts,
                "resolves_pct": report.resolves_pct,
                "notes": report.notes,
            },
        )  # fmt: skip

"""Fill one series: ask each source in turn for window - held - absent(source), newest first.

Each page is stored on arrival, so a run can stop anywhere and resume. Each attempt has one row in ``gap_fill_runs``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from backfill.errors import DatabaseError, ExchangeError, OutOfMemory, SeriesBusy, Stopped
from backfill.jobs.fill.roll_up import roll_up
from backfill.sources.candle_source import CandleSource
from backfill.sources.fetch import SourceFetch
from backfill.sources.request_budget import UNLIMITED, RunBudget
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import Requests, RunIdentity
from backfill.storage.series import OpenWork, SeriesWindow

log = logging.getLogger(__name__)

# Seconds to wait for another run on the series.
PATIENCE_S = 600.0
# The same if the next run is due soon.
HURRIED_PATIENCE_S = 60.0
MOST_ERRORS_SHOWN = 5


@dataclass(frozen=True)
class FillReport:
    """Outcome of one attempt, as in ``gap_fill_runs``, counts in bars."""

    symbol: str
    timeframe: str
    status: str
    gaps_found: int
    missing_before: int
    missing_after: int
    requests_planned: int
    requests: int
    requests_left: int
    rows_inserted: int
    rows_revised: int
    rows_quarantined: int
    absent_found: int
    coverage_before: float
    coverage_after: float
    sources: dict[str, int]
    error: str | None
    cause: BaseException | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """One sentence for a log."""
        stored = self.rows_inserted + self.rows_revised
        by = ", ".join(f"{source} {rows:,}" for source, rows in self.sources.items())
        counts = [f"{self.missing_after:,} of {self.missing_before:,} bars still missing", f"{stored:,} stored"]
        counts[-1] += f" ({by})" if by else ""
        counts += [
            f"{count:,} {what}"
            for count, what in (
                (self.absent_found, "found absent"),
                (self.rows_quarantined, "in quarantine"),
                (self.requests, "request" if self.requests == 1 else "requests"),
                (self.requests_left, "requests left to the next run"),
            )
            if count
        ]
        return f"{self.symbol} {self.timeframe} {self.status}: {', '.join(counts)}" + (
            f"; {self.error}" if self.error else ""
        )

    def as_dict(self) -> dict[str, Any]:
        """All fields but ``cause``, which is for the caller."""
        return {name: value for name, value in vars(self).items() if name != "cause"}


def fill_gaps(
    store: CandleStore,
    sources: Iterable[CandleSource | ExchangeError],
    window: SeriesWindow,
    who: RunIdentity,
    *,
    pages_in_flight: int = 4,
    recheck: bool = False,
    within: RunBudget = UNLIMITED,
    patience_s: float = PATIENCE_S,
) -> FillReport:
    """Store what ``window`` lacks: first roll-ups, then each source's answer for what is left.

    ``sources`` may hold the error why one cannot be asked. Exchange errors end up in the report, after everything
    before them is stored. Raises database errors and :class:`SeriesBusy`.
    """
    with store.working_on(window, patience_s):
        return _Fill(store, window, who, within).run(sources, pages_in_flight, recheck=recheck)


def leave_to_another(store: CandleStore, window: SeriesWindow, who: RunIdentity, busy: SeriesBusy) -> FillReport:
    """Log that another run works on the series."""
    return _Fill(store, window, who, UNLIMITED).left_to_another(busy)


class _Fill:
    """One attempt and its counts."""

    def __init__(self, store: CandleStore, window: SeriesWindow, who: RunIdentity, budget: RunBudget) -> None:
        self.store = store
        self.window = window
        self.budget = budget
        self.health = store.health(who.run_id)
        self.log = store.run_log
        self.before = store.open_work(window)
        self.after: OpenWork | None = None
        self.fill_run_id = self.log.start(who, window, self.before)
        self.rolled_up = 0
        self.asked: list[SourceFetch] = []
        self.errors: list[BaseException] = []

    def run(
        self, sources: Iterable[CandleSource | ExchangeError], pages_in_flight: int, *, recheck: bool
    ) -> FillReport:
        """Fill the window and log the attempt."""
        try:
            self.store.prepare(self.window)
            self.rolled_up = roll_up(self.store, self.window, self.fill_run_id, recheck=recheck)
            for source in sources:
                self.after = None
                if isinstance(source, ExchangeError):
                    self.errors.append(source)
                else:
                    self._ask(source, pages_in_flight, recheck=recheck)
                self.after = self.store.open_work(self.window)
                if self.after.missing_candles == 0:
                    break
                self.budget.stop.check()
                if self.requests_left:
                    break  # left for lack of budget, not for the next source
        except Stopped as stopped:
            self.errors.append(stopped)
        except BaseException as error:
            # If the database no longer answers, the next run records it.
            self.errors.append(OutOfMemory.of(error) or error)
            with suppress(DatabaseError, MemoryError):
                self._finish()
            raise
        report = self._finish()
        log.info("%s", report)
        return report

    def left_to_another(self, busy: SeriesBusy) -> FillReport:
        """Finish as partial, without an error."""
        self.errors.append(busy)
        return replace(self._finish(status="partial"), cause=None)

    def _ask(self, source: CandleSource, pages_in_flight: int, *, recheck: bool) -> None:
        source_id = self.store.source_id(source.name)
        work = self.store.open_work(self.window, source_id, recheck=recheck)
        if not work.askable:
            return
        asked = SourceFetch(self.store, source, self.window, self.fill_run_id, self._requests())
        self.asked.append(asked)
        asked.ask_for(work.askable, pages_in_flight, self.budget)
        if asked.has_answered and not asked.requests_left and not self.budget.is_over:
            asked.prove_silence(self.budget.most_requests)
        self.errors += asked.errors
        asked.write_down()
        if asked.has_answered:
            self.health.has_answered(source_id)
        elif isinstance(error := next(iter(asked.errors), None), ExchangeError):
            self.health.has_failed(source_id, error)

    def _requests(self) -> Requests:
        return self.asked[-1].asked_so_far if self.asked else Requests(0, 0)

    @property
    def requests_left(self) -> int:
        """Requests beyond the budget."""
        return sum(asked.requests_left for asked in self.asked)

    def _told_errors(self) -> str:
        errors = list(dict.fromkeys(str(e) or type(e).__name__ for e in self.errors))
        if len(errors) > MOST_ERRORS_SHOWN:
            errors[MOST_ERRORS_SHOWN:] = [f"and {len(errors) - MOST_ERRORS_SHOWN} more"]
        return "; ".join(errors)

    def _finish(self, status: str | None = None) -> FillReport:
        after = self.after or self.store.open_work(self.window)
        error = self._told_errors() or None
        rows = self.rolled_up + sum(asked.rows for asked in self.asked)
        status = status or _status(after, rows, failed=bool(self.errors) and not self.budget.stop.is_asked)
        requests = self._requests()
        totals = self.log.finish(self.fill_run_id, status, after, requests, error, requests_left=self.requests_left)
        return FillReport(
            symbol=self.window.symbol,
            timeframe=self.window.timeframe,
            status=status,
            gaps_found=self.before.gaps_found,
            missing_before=self.before.missing_candles,
            missing_after=after.missing_candles,
            requests_planned=requests.planned,
            requests=requests.made,
            requests_left=self.requests_left,
            coverage_before=self.before.coverage_pct,
            coverage_after=after.coverage_pct,
            error=error,
            cause=self.errors[0] if self.errors else None,
            **totals,
        )


def _status(after: OpenWork, rows: int, *, failed: bool) -> str:
    """With nothing missing, errors do not matter."""
    if after.missing_candles == 0:
        return "complete"
    return "failed" if failed and rows == 0 else "partial"

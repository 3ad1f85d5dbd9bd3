"""Fill the gaps of one series from one source: window - held - absent(source), newest first.

Every page is stored in a transaction of its own as soon as it has come, so the work can be stopped anywhere and
taken up again. One row of ``gap_fill_runs`` tells of the attempt, whatever becomes of it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from backfill.domain.answers import bar_intervals, denied
from backfill.domain.intervals import Interval, intersection
from backfill.domain.page_plan import PlannedPage, plan_pages
from backfill.domain.timeframes import DAY_MS, Timeframe, timeframe
from backfill.errors import (
    BadPayload,
    ContradictoryAnswer,
    DatabaseError,
    ExchangeError,
    PaginationStalled,
)
from backfill.exchanges.walk_back import walk_back
from backfill.jobs.candle_sources import CandlePage, CandleSource
from backfill.storage.candle_store import CandleStore, OpenWork, QuarantinedRow, SeriesWindow, utc
from backfill.storage.gap_fill_log import GapFillLog, RunIdentity

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# How long a run waits for another that works on the same series.
PATIENCE_S = 600.0
# Told of one page, these leave hope for the next; all other errors end the asking.
PAGE_ERRORS = (BadPayload, PaginationStalled)


@dataclass(frozen=True)
class FillReport:
    """What became of one attempt on one series: the fields of its row in ``gap_fill_runs``, counts in bars."""

    symbol: str
    timeframe: str
    status: str
    gaps_found: int
    missing_before: int
    missing_after: int
    requests_planned: int
    requests: int
    rows_inserted: int
    rows_revised: int
    rows_quarantined: int
    absent_found: int
    coverage_before: float
    coverage_after: float
    sources: dict[str, int]
    error: str | None
    cause: BaseException | None = field(default=None, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Without ``cause``, which is for whoever must decide what to do next."""
        return {name: value for name, value in vars(self).items() if name != "cause"}


class _Walk(NamedTuple):
    """The pages that one planned page took, and what ended the walk before its time."""

    pages: list[CandlePage]
    error: ExchangeError | PaginationStalled | None


def fill_gaps(
    store: CandleStore,
    source: CandleSource,
    window: SeriesWindow,
    who: RunIdentity,
    *,
    pages_in_flight: int = 4,
    recheck: bool = False,
    patience_s: float = PATIENCE_S,
) -> FillReport:
    """Ask ``source`` for what ``window`` lacks and store it.

    An exchange's error ends up in the report, after all that came before it was stored; the database's errors and
    :class:`SeriesBusy` are raised.
    """
    return _Fill(store, source, window, who).run(pages_in_flight, recheck, patience_s)


class _Fill:
    """One attempt and its counts."""

    def __init__(self, store: CandleStore, source: CandleSource, window: SeriesWindow, who: RunIdentity) -> None:
        self.store = store
        self.source = source
        self.window = window
        self.who = who
        self.timeframe: Timeframe = timeframe(window.timeframe)
        self.span = Interval(window.start_ms, window.end_ms)
        self.source_id = store.source_id(source.name)
        self.log = GapFillLog(store.connection)
        self.fill_run_id = 0
        self.requests_before = source.requests_made
        self.rows = 0
        self.latency_ms = 0.0
        self.outcomes: Counter[str] = Counter()
        self.exhausted: list[CandlePage] = []
        self.errors: list[BaseException] = []

    @property
    def requests(self) -> int:
        return self.source.requests_made - self.requests_before

    def run(self, pages_in_flight: int, recheck: bool, patience_s: float) -> FillReport:
        with self.store.working_on(self.window, patience_s):
            before = self.store.open_work(self.window, self.source_id, recheck=recheck)
            pages = plan_pages(before.askable, self.timeframe.step_ms, self.source.rows_per_page)
            self.fill_run_id = self.log.start(self.who, self.window, before, len(pages))
            try:
                self.store.prepare(self.window)
                self._ask_all(pages, pages_in_flight)
                self._settle_exhausted()
            except BaseException as error:
                # Stopped or broken in mid-run: say so if the database still listens; else the next run will.
                self.errors.append(error)
                with suppress(DatabaseError):
                    self._finish(before, len(pages))
                raise
            report = self._finish(before, len(pages))
        log.info("%s", report)
        return report

    def _ask_all(self, pages: Sequence[PlannedPage], pages_in_flight: int) -> None:
        """Ask for the pages, some at once, and store each answer as it comes, newest first."""
        waiting = deque(pages)
        asked: deque[Future[_Walk]] = deque()
        with ThreadPoolExecutor(pages_in_flight, thread_name_prefix=self.source.name) as threads:
            while waiting or asked:
                while waiting and len(asked) < pages_in_flight:
                    asked.append(threads.submit(self._ask, waiting.popleft()))
                walk = asked.popleft().result()
                try:
                    for page in walk.pages:
                        self._store(page)
                    if walk.error:
                        raise walk.error
                except (ExchangeError, PaginationStalled) as error:
                    log.warning("%s %s: %s", self.window.symbol, self.window.timeframe, error)
                    self.errors.append(error)
                    if not isinstance(error, PAGE_ERRORS):
                        waiting.clear()

    def _ask(self, planned: PlannedPage) -> _Walk:
        """The pages that cover one planned page: one, unless the source gives fewer rows than we ask for."""

        def ask(after_ms: int) -> CandlePage:
            return self.source.ask(self.window.symbol, self.timeframe, after_ms)

        pages: list[CandlePage] = []
        try:
            for _, page in walk_back(ask, planned.after_ms, planned.reach_ms, self.source.name):
                pages.append(page)
        except (ExchangeError, PaginationStalled) as error:
            return _Walk(pages, error)
        return _Walk(pages, None)

    def _store(self, page: CandlePage) -> None:
        if not page.rows:
            self.exhausted.append(page)
            return
        if page.oldest_ms is None or page.newest_ms is None:
            self._write(page, page.sound, [], [])
            raise BadPayload(self.source.name, f"no row before {utc(page.after_ms):%Y-%m-%dT%H:%MZ} can be believed")
        open_ms = page.sound["open_ms"]
        inside = page.sound[(open_ms >= self.span.start) & (open_ms < min(self.span.end, page.after_ms))]
        bars = bar_intervals(inside["open_ms"].to_numpy(), self.timeframe.step_ms)
        self._write(page, inside, bars, self._denied(page, page.oldest_ms, page.newest_ms, bars))
        self.outcomes["candles"] += 1
        self.latency_ms += page.latency_ms

    def _denied(self, page: CandlePage, oldest_ms: int, newest_ms: int, bars: Sequence[Interval]) -> list[Interval]:
        doubtful = [*page.running_ms, *(row.open_ms for row in page.broken)]
        if None in doubtful:
            return []  # a row that could be any bar: nothing can be called absent
        return denied(
            window=self.span,
            asked_before_ms=page.after_ms,
            oldest_ms=oldest_ms,
            newest_ms=newest_ms,
            given=bars,
            doubtful_ms=[ms for ms in doubtful if ms is not None],
            timeframe=self.timeframe,
            now_ms=self._now_ms(page),
        )

    def _settle_exhausted(self) -> None:
        """Believe "there is nothing older" only when nothing we know speaks against it.

        Asked last, so that what the other pages brought can speak. A source that has said one untruth of this kind
        is not believed in the others: an outage that looks like an empty exchange denies the whole window.
        """
        for page in self.exhausted:
            if self._is_contradicted(page):
                self.errors.append(
                    ContradictoryAnswer(
                        self.source.name,
                        f"says that {self.window.symbol} {self.window.timeframe} has nothing before "
                        f"{utc(page.after_ms):%Y-%m-%dT%H:%MZ}, yet it must have",
                    )
                )
                return
        for page in self.exhausted:
            nothing_older = intersection([self.span], [Interval(self.span.start, page.after_ms)])
            self._write(page, page.sound, [], nothing_older)
            self.outcomes["absent"] += 1

    def _is_contradicted(self, page: CandlePage) -> bool:
        """Whether the source gave older candles before, or denies the recent bars of an instrument that trades."""
        if self.store.has_older_candle(self.window, self.source_id, page.after_ms):
            return True
        day_ago_ms = self._now_ms(page) - DAY_MS
        listed_ms = self.window.list_ms
        long_listed = listed_ms is not None and listed_ms < day_ago_ms
        return self.window.state == "live" and long_listed and page.after_ms > day_ago_ms

    def _now_ms(self, page: CandlePage) -> int:
        return page.server_ms if page.server_ms is not None else round(time.time() * 1000)

    def _write(
        self, page: CandlePage, candles: pd.DataFrame, bars: Sequence[Interval], absent: Sequence[Interval]
    ) -> None:
        """One transaction: candles, revisions, quarantine, ledger, absences and the run's counts."""
        quarantined = [QuarantinedRow(row.open_ms, row.rule, page.rows[row.place]) for row in page.broken]
        with self.store.page_transaction():
            stored = self.store.store_page(
                self.window,
                self.source_id,
                candles,
                bars=bars,
                absent=absent,
                quarantined=quarantined,
                fill_run_id=self.fill_run_id,
            )
            self.log.count(self.fill_run_id, self.source.name, stored, self.timeframe.step_ms, self.requests)
        self.rows += stored.inserted + stored.revised

    def _finish(self, before: OpenWork, requests_planned: int) -> FillReport:
        after = self.store.open_work(self.window, self.source_id)
        error = "; ".join(dict.fromkeys(str(e) or type(e).__name__ for e in self.errors)) or None
        status = _status(after.missing_candles, self.rows, failed=bool(self.errors))
        totals = self.log.finish(self.fill_run_id, status, after, self.requests, error)
        self.outcomes.update(type(e).__name__ for e in self.errors if isinstance(e, ExchangeError))
        for outcome, answers in self.outcomes.items():
            rows, latency_ms = (self.rows, self.latency_ms / answers) if outcome == "candles" else (0, None)
            self.log.attempt(self.fill_run_id, self.source_id, outcome, answers, rows, latency_ms)
        return FillReport(
            symbol=self.window.symbol,
            timeframe=self.window.timeframe,
            status=status,
            gaps_found=before.gaps_found,
            missing_before=before.missing_candles,
            missing_after=after.missing_candles,
            requests_planned=requests_planned,
            requests=self.requests,
            coverage_before=before.coverage_pct,
            coverage_after=after.coverage_pct,
            error=error,
            cause=self.errors[0] if self.errors else None,
            **totals,
        )


def _status(missing: int, rows: int, *, failed: bool) -> str:
    if missing == 0 and not failed:
        return "complete"
    return "failed" if failed and rows == 0 else "partial"

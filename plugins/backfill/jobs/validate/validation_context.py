"""State of one validation of one series."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from backfill.config.universe_model import Validation
from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, difference
from backfill.domain.splits import RAW, Split, explained
from backfill.domain.timeframes import DAY_MS, HOUR_MS, Timeframe, timeframe
from backfill.errors import ExchangeError, PaginationStalled
from backfill.sources.candle_source import CandlePage, CandleSource
from backfill.sources.fetch import PAGE_ERRORS, SourceFetch
from backfill.sources.window_source import WindowSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.checks import SeriesChecks, ToCheck
from backfill.storage.findings import Finding
from backfill.storage.gap_fill_log import Requests
from backfill.storage.series import SeriesWindow
from backfill.storage.source_health import SourceHealth

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from backfill.domain.misfiled import Diagnosis

# How long a page check counts by default.
FRESH_MS = 7 * DAY_MS
# Retry interval of proofs that left bars unexplained.
RETRY_AFTER_MS = 6 * HOUR_MS

log = logging.getLogger(__name__)


class ValidationContext:
    """Asks sources and counts outcomes, as of ``at``."""

    def __init__(
        self,
        store: CandleStore,
        window: SeriesWindow,
        validation: Validation,
        fill_run_id: int,
        health: SourceHealth,
        at: datetime,
    ) -> None:
        self.store = store
        self.window = window
        self.validation = validation
        self.fill_run_id = fill_run_id
        self.at_ms = round(at.timestamp() * 1000)
        self.primary_sources: Iterator[CandleSource | ExchangeError] = iter(())
        self.span = Interval(window.start_ms, window.end_ms)
        self.timeframe: Timeframe = timeframe(window.timeframe)
        self.findings = store.findings
        self.checks = SeriesChecks(store, window)
        self.requests = Requests(0, 0)
        self.counts: Counter[str] = Counter()
        # By source: the size of a fault that shows beside its candles.
        self.resolves: dict[str, float] = {}
        # What the primary source has answered for in this run.
        self.told: list[Interval] = []
        self.errors: list[BaseException] = []
        self._health = health
        # Each failure lasts until its client gives up, with the series locked.
        self._primary_failure: ExchangeError | None = None
        self._has_asked_for_splits = False
        self._to_check: tuple[tuple[Requests, int], ToCheck] | None = None
        self._log = store.run_log

    @cached_property
    def primary(self) -> CandleSource | None:
        """The primary source, opened on first use; None if unavailable."""
        source = next(self.primary_sources, None)
        if isinstance(source, ExchangeError):
            self.tell([source])
            return None
        return source

    @property
    def primary_id(self) -> int:
        """Database id of the primary source."""
        return self.window.source_ids[0]

    def to_check(self) -> ToCheck:
        """Parts of the window due for a check, read again after a request or a new finding."""
        as_of = (self.requests, self.findings.recorded)
        if self._to_check is None or self._to_check[0] != as_of:
            due = self.checks.to_check(
                since_ms=self.at_ms - self._check_lasts_ms, tried_since_ms=self.at_ms - RETRY_AFTER_MS
            )
            self._to_check = (as_of, due)
        return self._to_check[1]

    def known(self, kind: str, span: Interval) -> list[Interval]:
        """Open findings of today, about which the primary was asked."""
        return self.checks.seen_today(kind, span, self.at_ms)

    def forget_page_checks(self, span: Interval) -> None:
        """Delete outdated page checks, and unverified marks on ``span``."""
        self.checks.forget_page_checks(span, self.at_ms - 2 * self._check_lasts_ms)

    @property
    def _check_lasts_ms(self) -> int:
        return self.validation.every_ms or FRESH_MS

    @cached_property
    def spot_ids(self) -> list[int]:
        """Sources with spot candles only, which are not compared."""
        return self.checks.spot_sources()

    def candles(self, span: Interval) -> pd.DataFrame:
        """Stored candles in ``span``, cut to the window."""
        return self.store.candles(
            self.window.series_id, Interval(max(span.start, self.span.start), min(span.end, self.span.end))
        )

    def page(self, source: CandleSource, bars: Timeframe, after_ms: int) -> CandlePage:
        """Fetch one page for comparison only. Raises :class:`ExchangeError`."""
        if self._primary_failure is not None and source is self.primary:
            raise self._primary_failure
        source_id = self.store.source_id(source.name)
        before = source.requests_made
        outcome, latency_ms = "compared", None
        try:
            page = source.ask(self.window.symbol, bars, after_ms)
            latency_ms = page.latency_ms
        except ExchangeError as error:
            outcome = type(error).__name__
            self._health.has_failed(source_id, error)
            if source_id == self.primary_id and not isinstance(error, PAGE_ERRORS):
                self._primary_failure = error
            raise
        finally:
            made = source.requests_made - before
            self.requests = Requests(self.requests.planned + 1, self.requests.made + made)
            self._log.attempt(self.fill_run_id, source_id, outcome, made, 0, latency_ms)
        self._health.has_answered(source_id)
        return page

    def ask_primary_again(self, bars: Sequence[Interval], pages_in_flight: int = 4) -> bool:
        """Fetch ``bars`` from the primary again and store them; whether it answered."""
        if not bars or self._primary_failure is not None or self.primary is None:
            return False
        return self.ask_again(self.primary, bars, pages_in_flight)

    def ask_again(self, source: CandleSource, bars: Sequence[Interval], pages_in_flight: int = 4) -> bool:
        """Fetch ``bars``, which may lie outside the window, from ``source`` again; whether it answered."""
        window = self.window._replace(
            start_ms=min(self.window.start_ms, bars[0].start), end_ms=max(self.window.end_ms, bars[-1].end)
        )
        self.store.prepare(window)
        asked = SourceFetch(self.store, source, window, self.fill_run_id, self.requests)
        asked.ask_for(bars, pages_in_flight)
        asked.write_down()
        self.requests = asked.asked_so_far
        self.counts["rows_restored"] += asked.rows
        self.tell(asked.errors)
        source_id = self.store.source_id(source.name)
        if asked.has_answered:
            self.told += bars
            self._health.has_answered(source_id)
        elif error := next((e for e in asked.errors if isinstance(e, ExchangeError)), None):
            self._health.has_failed(source_id, error)
            if source_id == self.primary_id and not isinstance(error, PAGE_ERRORS):
                self._primary_failure = error
        return asked.has_answered

    def primary_finding(self, kind: str, verdict: str, bars: Interval, **more: Any) -> Finding:
        """A finding about the primary's ``bars``."""
        return Finding(kind, verdict, self.window.series_id, self.primary_id, bars.start, bars.end, **more)

    def replace_findings(self, kinds: Sequence[str], span: Interval, found: Sequence[Finding]) -> None:
        """Record findings of ``kinds`` and settle those in ``span`` that are gone."""
        if not found:
            self.findings.settle(kinds, self.window.series_id, span)
            return
        with self.store.page_transaction():
            still_there = self.findings.record(found, self.fill_run_id)
            self.findings.settle(kinds, self.window.series_id, span, still_there=still_there)
        self.counts.update(one.kind for one in found)

    def is_split(self, open_ms: pd.Series, change: pd.Series, bound: pd.Series | float) -> NDArray[np.bool_]:
        """Mask of changes of price (log), from the bar before to that at ``open_ms``, that splits explain.

        The source's list is asked for once, if a raw price has changed so and no known split explains it.
        """
        bounds = np.broadcast_to(np.asarray(bound, dtype=np.float64), len(open_ms))
        rows = list(zip(open_ms.tolist(), change.tolist(), bounds.tolist(), strict=True))

        def told() -> NDArray[np.bool_]:
            step_ms = self.timeframe.step_ms
            return np.array([explained(self._splits, ms - step_ms, ms, by, most) for ms, by, most in rows], dtype=bool)

        known = told()
        if known.all() or self.window.splits != RAW or self._has_asked_for_splits:
            return known
        new = difference(bar_intervals(open_ms.to_numpy()[~known], self.timeframe.step_ms), self._jumps_seen_today)
        if not new:
            return known
        self._ask_for_splits()
        return told()

    @cached_property
    def _splits(self) -> list[Split]:
        return self.store.splits.of(self.window.series_id) if self.window.splits else []

    @cached_property
    def _jumps_seen_today(self) -> list[Interval]:
        return [*self.known("price_jump", self.span), *self.known("continuity", self.span)]

    def _ask_for_splits(self) -> None:
        """Note what the primary source's list says."""
        self._has_asked_for_splits = True
        source = self.primary
        if self._primary_failure is not None or not isinstance(source, WindowSource):
            return
        before, outcome = source.requests_made, "compared"
        try:
            listed = source.splits()
        except ExchangeError as error:
            outcome, listed = type(error).__name__, []
            self.tell([error])
        made = source.requests_made - before
        if made:
            self.requests = Requests(self.requests.planned + 1, self.requests.made + made)
            self._log.attempt(self.fill_run_id, self.primary_id, outcome, made, 0, None)
        for split in listed:
            if split.until_ms > self.span.start:
                self.store.splits.record(self.window.symbol, self.primary_id, split)
        del self._splits

    def tell(self, errors: Sequence[ExchangeError | PaginationStalled]) -> None:
        """Log why a source could not be asked; the validation goes on."""
        for error in errors:
            log.warning("%s %s: %s", self.window.symbol, self.window.timeframe, error)
        self.errors += errors


def evidence(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis without its fault's name."""
    return {name: value for name, value in vars(diagnosis).items() if name != "fault"}


def rows_of(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """The rows; of an empty table at once, which pandas takes half a millisecond for."""
    return table.to_dict("records") if len(table) else []

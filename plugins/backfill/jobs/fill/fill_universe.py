"""Fill many series."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from backfill.config.parameters import our_name
from backfill.config.universe_file import select_series
from backfill.config.universe_model import SeriesWish
from backfill.domain.price_kinds import kind_of
from backfill.domain.venues import known_venue, venue
from backfill.errors import DatabaseError, DatabaseUnreachable, ExchangeError, SeriesBusy, UnknownSymbol
from backfill.jobs.fill.each_series import each_series
from backfill.jobs.fill.fill_gaps import HURRIED_PATIENCE_S, PATIENCE_S, FillReport, fill_gaps, leave_to_another
from backfill.jobs.fill.find_gaps import selection
from backfill.jobs.fill.roll_up import in_turn, reaching_back
from backfill.jobs.universe.close_markets import close_markets
from backfill.jobs.universe.declare_universe import declare
from backfill.sources.candle_source import CandleSource
from backfill.sources.choose_sources import sources_of
from backfill.sources.request_budget import RunBudget, fair_budget
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import Selection, SeriesWindow

log = logging.getLogger(__name__)


def select_declared(
    runtime: Runtime,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    ask: bool = True,
) -> Selection:
    """Write the universe to Postgres, and check a selection against it and the clock.

    ``ask``: primary sources may be asked for listings. Defaults are BACKFILL_SYMBOLS and BACKFILL_TIMEFRAMES. Raises
    :class:`UnknownSymbol`, :class:`UnknownTimeframe` or :class:`InvalidWindow` before any candle is requested or wish
    written.
    """
    which = _selection(runtime, symbols, timeframes, start, end)

    def check(wishes: Sequence[SeriesWish]) -> None:
        try:
            select_series(wishes, which.symbols, which.timeframes)
        except UnknownSymbol as error:
            known = list(dict.fromkeys(wish.symbol for wish in wishes))
            raise UnknownSymbol(error.symbol, known, str(runtime.settings.universe)) from None

    wishes = declare(runtime, ask=ask, check=check)
    if which.from_ms is not None:
        close_markets(runtime.store, wishes, which.from_ms)
    return which


def select_wanted(
    runtime: Runtime,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Selection:
    """Like :func:`select_declared`, by the wishes in Postgres and read-only."""
    which = _selection(runtime, symbols, timeframes, start, end)
    if which.symbols or which.timeframes:
        select_series(list(runtime.store.wishes.wanted().values()), which.symbols, which.timeframes)
    return which


def _selection(
    runtime: Runtime,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    start: datetime | None,
    end: datetime | None,
) -> Selection:
    settings = runtime.settings
    return selection(
        runtime.store.now(),
        settings.settle_s,
        symbols=[our_name(symbol) for symbol in symbols] if symbols else settings.symbols,
        timeframes=timeframes or settings.timeframes,
        start=start,
        end=end,
    )


def windows_to_fill(
    runtime: Runtime,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[SeriesWindow]:
    """Windows of a selection; see :func:`select_declared`."""
    which = select_declared(runtime, symbols=symbols, timeframes=timeframes, start=start, end=end)
    return runtime.store.windows(which)


EACH_PRIMARY = "primary"
# Of one series in one run, when its connection is lost. Each waits for Postgres to come back.
ATTEMPTS = 3


class LeftForOthers(NamedTuple):
    """``windows`` with work left; ``passed_over``: the primary already asked, by series id."""

    windows: list[SeriesWindow]
    passed_over: dict[int, list[str]]

    def requests_of_symbol(self) -> dict[str, int]:
        """About one request per series."""
        return dict(Counter(window.symbol for window in self.windows))


def left_for_others(
    store: CandleStore,
    windows: Sequence[SeriesWindow],
    who: RunIdentity,
    asked_before: str = EACH_PRIMARY,
    only: Sequence[str] | None = None,
    *,
    recheck: bool = False,
) -> LeftForOthers:
    """Work left after a task asked the primary ``asked_before``; ``only``: sources that may be asked.

    A series with another primary is included if bars are missing or that primary can replace some. Not included are
    series whose primary ran out of budget: that is the next run's.
    """
    carried_over = store.run_log.carried_over(who)
    left: list[SeriesWindow] = []
    passed_over: dict[int, list[str]] = {}
    for window in windows:
        primary, *others = store.source_names(window.source_ids)
        was_asked = asked_before in (EACH_PRIMARY, primary)
        if was_asked:
            passed_over[window.series_id] = [primary]
        names = [name for name in ([] if was_asked else [primary]) + others if only is None or name in only]
        if names and window.series_id not in carried_over and _has_work(store, window, primary, names, recheck, only):
            left.append(window)
    return LeftForOthers(left, passed_over)


def _has_work(
    store: CandleStore,
    window: SeriesWindow,
    primary: str,
    names: Sequence[str],
    recheck: bool,
    only: Sequence[str] | None,
) -> bool:
    """Whether bars are missing or replaceable, or a recheck skips the primary."""
    if store.open_work(window).missing_candles > 0:
        return True
    if primary in names and store.open_work(window, window.source_ids[0], recheck=recheck).askable:
        return True
    return recheck and only is not None and primary not in only


def with_primary_among(
    store: CandleStore, windows: Sequence[SeriesWindow], names: Sequence[str] | None
) -> list[SeriesWindow]:
    """Windows whose primary source is in ``names``; None: all."""
    if names is None:
        return list(windows)
    return [window for window in windows if store.source_names(window.source_ids[:1])[0] in names]


def fill_series(
    runtime: Runtime,
    windows: Sequence[SeriesWindow],
    who: RunIdentity,
    *,
    only: Sequence[str] | None = None,
    primary_only: bool = False,
    leave_out: Mapping[int, Sequence[str]] | None = None,
    recheck: bool = False,
    until: datetime | None = None,
) -> Iterator[FillReport]:
    """Yield the report of each window's attempt when done.

    Sources are asked in the universe's order. ``only``: sources to ask, in this order; ``primary_only``: just the
    primary; ``leave_out``: sources not to ask, by series id. ``until``: when the run must end; the primary's requests
    are shared fairly, and busy series are left to their run.
    """

    def sources(store: CandleStore, window: SeriesWindow) -> Generator[CandleSource | ExchangeError, None, None]:
        allowed = store.source_names(window.source_ids[:1]) if primary_only else only
        left_out = {*(leave_out or {}).get(window.series_id, ()), *_that_only_compare(store, window)}
        return sources_of(runtime, store, window, who.run_id, allowed, left_out)

    def attempt(store: CandleStore, window: SeriesWindow) -> FillReport:
        """Fill one window, or leave it to another run."""
        with closing(sources(store, window)) as asked:
            try:
                return fill_gaps(
                    store,
                    asked,
                    window,
                    who,
                    pages_in_flight=runtime.settings.pages_in_flight,
                    recheck=recheck,
                    within=_budget(runtime, store, window, until),
                    patience_s=PATIENCE_S if until is None else HURRIED_PATIENCE_S,
                )
            except SeriesBusy as busy:
                if until is None:
                    raise
                return leave_to_another(store, window, who, busy)

    chains = {chain[0].series_id: chain for chain in in_turn(windows)}

    def fill_chain(store: CandleStore, first: SeriesWindow) -> list[FillReport]:
        windows = reaching_back(store, chains[first.series_id])
        return [_in_spite_of_postgres(store, window, attempt) for window in windows]

    for reports in each_series(runtime, [chain[0] for chain in chains.values()], fill_chain):
        yield from reports


def _in_spite_of_postgres(
    store: CandleStore, window: SeriesWindow, attempt: Callable[[CandleStore, SeriesWindow], FillReport]
) -> FillReport:
    """Fill one window, in a new attempt if Postgres was lost in the middle of one.

    A server that crashed may have lost the last pages too, whose commits do not wait for the disk.
    """
    for _ in range(ATTEMPTS - 1):
        opens = store.times_opened
        try:
            report = attempt(store, window)
        except DatabaseUnreachable as lost:
            log.warning("%s %s is tried again: %s", window.symbol, window.timeframe, lost)
            with suppress(DatabaseError):
                store.run_log.abandon_dead_runs()  # the attempt could not finish its row
            continue
        is_done = not report.missing_after or report.error or report.requests_left
        if is_done or store.times_opened == opens:
            return report
        log.warning("%s %s is tried again, since Postgres was away", window.symbol, window.timeframe)
    return attempt(store, window)


def _budget(runtime: Runtime, store: CandleStore, window: SeriesWindow, until: datetime | None) -> RunBudget:
    """A fair share of the primary's requests until then."""
    return replace(_share(runtime, store, window, until), stop=runtime.stop)


def _share(runtime: Runtime, store: CandleStore, window: SeriesWindow, until: datetime | None) -> RunBudget:
    if until is None or store.open_work(window).missing_candles == 0:
        return RunBudget(until)  # no need to count the needs of others
    (primary,) = store.source_names(window.source_ids[:1])
    return fair_budget(
        store,
        window,
        Selection(at=store.now(), settle_ms=runtime.settle_ms),
        primary=primary,
        until=until,
        limits_per_period_s=venue(primary).limits_per_period_s,
        rows_per_page=runtime.rows_per_page(primary, window.timeframe, kind_of(window.symbol)),
    )


def _that_only_compare(store: CandleStore, window: SeriesWindow) -> list[str]:
    rows = map(known_venue, store.source_names(window.source_ids))
    return [row.source for row in rows if row is not None and not row.fills]

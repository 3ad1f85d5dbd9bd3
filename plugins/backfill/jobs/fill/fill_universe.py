"""Fill many series: what a mapped task does for its symbols and the command line for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime

from backfill.config.universe_file import select_series
from backfill.errors import SeriesBusy
from backfill.exchanges.blofin_client import LIMITS_PER_PERIOD_S
from backfill.exchanges.blofin_client import SOURCE as BLOFIN
from backfill.jobs.fill.each_series import each_series
from backfill.jobs.fill.fill_gaps import HURRIED_PATIENCE_S, PATIENCE_S, FillReport, fill_gaps, leave_to_another
from backfill.jobs.fill.find_gaps import selection
from backfill.jobs.fill.roll_up import in_turn, reaching_back
from backfill.jobs.universe.declare_universe import declare
from backfill.sources.choose_sources import sources_of
from backfill.sources.request_budget import RunBudget, fair_budget
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore, Selection, SeriesWindow
from backfill.storage.database import translated_errors
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.named_queries import query


def select_declared(
    runtime: Runtime,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    ask: bool = True,
) -> Selection:
    """Carry the universe over into Postgres and check what a caller asks for against it and against the clock.

    With ``ask`` the home exchange may be asked for its listings. What is not named falls back on BACKFILL_SYMBOLS
    and BACKFILL_TIMEFRAMES. Raises :class:`UnknownSymbol`,
    :class:`UnknownTimeframe` or :class:`InvalidWindow`, before a candle is asked for and the wish list is written.
    """
    settings = runtime.settings
    symbols, timeframes = symbols or settings.symbols, timeframes or settings.timeframes
    which = selection(
        runtime.store.now(), settings.settle_s, symbols=symbols, timeframes=timeframes, start=start, end=end
    )
    declare(runtime, ask=ask, check=lambda wishes: select_series(wishes, symbols, timeframes))
    return which


def windows_to_fill(
    runtime: Runtime,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[SeriesWindow]:
    """The windows of what a caller asks for; see :func:`select_declared`."""
    which = select_declared(runtime, symbols=symbols, timeframes=timeframes, start=start, end=end)
    return runtime.store.windows(which)


def left_for_others(store: CandleStore, windows: Sequence[SeriesWindow], who: RunIdentity) -> list[SeriesWindow]:
    """The windows that lack something and have more sources than their home.

    Not those whose home the run merely had no more time to ask: that is the next run's, and no other source's.
    """
    params = {"dag_id": who.dag_id, "run_id": who.run_id}
    with translated_errors():
        carried_over = {row[0] for row in store.connection.execute(query("runs/select_carried_over"), params)}
    return [
        window
        for window in windows
        if len(window.source_ids) > 1
        and window.series_id not in carried_over
        and store.open_work(window).missing_candles > 0
    ]


def fill_series(
    runtime: Runtime,
    windows: Sequence[SeriesWindow],
    who: RunIdentity,
    *,
    only: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
    recheck: bool = False,
    until: datetime | None = None,
) -> Iterator[FillReport]:
    """The report of each window's attempt as it ends.

    Sources are asked in the universe's order; ``only`` names the ones that may be asked, in an order of its own, and
    ``leave_out`` those that may not. ``until``: when the run must end; what Blofin can answer by then is shared out,
    and a series that another run works on is left to it.
    """

    def fill(store: CandleStore, window: SeriesWindow) -> FillReport:
        with closing(sources_of(runtime, store, window, who.run_id, only, leave_out)) as sources:
            try:
                return fill_gaps(
                    store,
                    sources,
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
        return [fill(store, window) for window in reaching_back(store, chains[first.series_id])]

    for reports in each_series(runtime, [chain[0] for chain in chains.values()], fill_chain):
        yield from reports


def _budget(runtime: Runtime, store: CandleStore, window: SeriesWindow, until: datetime | None) -> RunBudget:
    """Fair among all that the universe keeps; of a source other than Blofin, what it answers until then."""
    if until is None or store.source_names(window.source_ids[:1]) != [BLOFIN]:
        return RunBudget(until)
    if store.open_work(window).missing_candles == 0:
        return RunBudget(until)  # nothing to share: the needs of all others need not be counted
    return fair_budget(
        store,
        window,
        Selection(at=store.now(), settle_ms=runtime.settle_ms),
        home=BLOFIN,
        until=until,
        limits_per_period_s=LIMITS_PER_PERIOD_S,
        rows_per_page=runtime.settings.batch_limit,
    )

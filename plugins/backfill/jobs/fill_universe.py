"""Fill many series: what a mapped task does for its symbols and the command line for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime

from backfill.jobs.choose_sources import sources_of
from backfill.jobs.each_series import each_series
from backfill.jobs.fill_gaps import FillReport, fill_gaps
from backfill.jobs.find_gaps import selection
from backfill.jobs.supplies import Supplies
from backfill.storage.candle_store import CandleStore, Selection, SeriesWindow
from backfill.storage.gap_fill_log import RunIdentity
from backfill.universe import select_series


def select_declared(
    supplies: Supplies,
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
    settings = supplies.settings
    symbols, timeframes = symbols or settings.symbols, timeframes or settings.timeframes
    which = selection(
        supplies.store.now(), settings.settle_s, symbols=symbols, timeframes=timeframes, start=start, end=end
    )
    supplies.declare_universe(ask=ask, check=lambda wishes: select_series(wishes, symbols, timeframes))
    return which


def windows_to_fill(
    supplies: Supplies,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[SeriesWindow]:
    """The windows of what a caller asks for; see :func:`select_declared`."""
    which = select_declared(supplies, symbols=symbols, timeframes=timeframes, start=start, end=end)
    return supplies.store.windows(which)


def left_for_others(store: CandleStore, windows: Sequence[SeriesWindow]) -> list[SeriesWindow]:
    """The windows that lack something and have more sources than their home."""
    return [window for window in windows if len(window.source_ids) > 1 and store.open_work(window).missing_candles > 0]


def fill_series(
    supplies: Supplies,
    windows: Sequence[SeriesWindow],
    who: RunIdentity,
    *,
    only: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
    recheck: bool = False,
) -> Iterator[FillReport]:
    """The report of each window's attempt as it ends.

    Sources are asked in the universe's order; ``only`` names the ones that may be asked, in an order of its own, and
    ``leave_out`` those that may not.
    """

    def fill(store: CandleStore, window: SeriesWindow) -> FillReport:
        with closing(sources_of(supplies, store, window, who.run_id, only, leave_out)) as sources:
            return fill_gaps(
                store, sources, window, who, pages_in_flight=supplies.settings.pages_in_flight, recheck=recheck
            )

    return each_series(supplies, windows, fill)

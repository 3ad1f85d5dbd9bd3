"""Plan a fill by series and source, without requests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from backfill.domain.intervals import Interval, difference, intersection, union
from backfill.domain.page_plan import plan_pages
from backfill.domain.price_kinds import kind_of
from backfill.domain.timeframes import timeframe
from backfill.domain.venues import Venue, venue
from backfill.errors import ConfigurationError
from backfill.jobs.fill.find_gaps import SeriesGaps
from backfill.jobs.fill.roll_up import in_turn, reaching_back, will_be_made
from backfill.sources.runtime import Runtime
from backfill.storage.series import Selection, SeriesWindow


class PlannedSource(NamedTuple):
    """One source's part in a series; ``gaps`` and ``missing_candles`` are the series'.

    ``requests_planned``: if roll-ups and earlier sources supply all they can; ``requests_at_most``: if they supply
    nothing. ``newest_ms``: end of the newest bar to request.
    """

    symbol: str
    timeframe: str
    source: str
    gaps: int
    missing_candles: int
    requests_planned: int
    requests_at_most: int
    newest_ms: int


class FillPlan(NamedTuple):
    """A row per series and source, in order of asking."""

    rows: list[PlannedSource]

    @property
    def missing_candles(self) -> int:
        """Missing bars, each series counted once."""
        return sum({(row.symbol, row.timeframe): row.missing_candles for row in self.rows}.values())

    @property
    def requests_planned(self) -> int:
        """Planned requests to all sources."""
        return sum(row.requests_planned for row in self.rows)

    def series_to_ask_for(self) -> list[SeriesGaps]:
        """Series with something to request, newest first."""
        newest_of: dict[tuple[str, str], PlannedSource] = {}
        for row in sorted(self.rows, key=lambda row: -row.newest_ms):
            if row.requests_at_most:
                newest_of.setdefault((row.symbol, row.timeframe), row)
        return [SeriesGaps(row.symbol, row.timeframe, row.missing_candles, row.newest_ms) for row in newest_of.values()]

    def lines(self) -> Iterator[str]:
        """Lines for a log, most missing first."""
        for row in sorted(self.rows, key=lambda row: -row.missing_candles):
            if row.requests_at_most:
                most = f", at most {row.requests_at_most:,}" if row.requests_at_most > row.requests_planned else ""
                yield (
                    f"{row.symbol} {row.timeframe}: {row.missing_candles:,} candles are missing in {row.gaps:,} gaps; "
                    f"{row.source}: {row.requests_planned:,} requests{most}"
                )
        requests = f"{self.requests_planned:,} requests"
        yield f"in all {self.missing_candles:,} candles are missing; {requests} would fetch them"


def plan_fill(
    runtime: Runtime, which: Selection, *, only: Sequence[str] | None = None, recheck: bool = False
) -> FillPlan:
    """Plan a fill of ``which`` from each series' sources, or from ``only``, in that order.

    Raises :class:`ConfigurationError` if no series has any of ``only``.
    """
    windows = runtime.store.windows(which)
    will_be_held: dict[int, list[Interval]] = {}
    rows = [
        row
        for group in in_turn(windows)
        for window in reaching_back(runtime.store, group)
        for row in _plan_series(runtime, window, only, will_be_held, recheck=recheck)
    ]
    if only and windows and not rows:
        raise ConfigurationError(f"sources: the universe has none of {', '.join(only)} for what is to be filled")
    return FillPlan(rows)


def _plan_series(
    runtime: Runtime,
    window: SeriesWindow,
    only: Sequence[str] | None,
    will_be_held: dict[int, list[Interval]],
    *,
    recheck: bool,
) -> Iterator[PlannedSource]:
    """Rows of one series; ``will_be_held``: what primaries and roll-ups will supply."""
    store, step_ms = runtime.store, timeframe(window.timeframe).step_ms
    allowed = store.source_names(window.source_ids)
    asked_before = will_be_made(store, window, will_be_held)
    will_be_held[window.series_id] = asked_before
    for name in allowed if only is None else only:
        if name not in allowed or not venue(name).may_fill(window.timeframe):
            continue
        work = store.open_work(window, store.source_id(name), recheck=recheck)
        askable = _within_reach(work.askable, window, venue(name))
        rows_per_page = runtime.rows_per_page(name, window.timeframe, kind_of(window.symbol))
        if name == allowed[0]:
            will_be_held[window.series_id] = union([*asked_before, *askable])
        theirs = difference(askable, asked_before)
        asked_before = union([*asked_before, *askable])
        yield PlannedSource(
            symbol=window.symbol,
            timeframe=window.timeframe,
            source=name,
            gaps=work.gaps_found,
            missing_candles=work.missing_candles,
            requests_planned=len(plan_pages(theirs, step_ms, rows_per_page)),
            requests_at_most=len(plan_pages(askable, step_ms, rows_per_page)),
            newest_ms=askable[-1].end if askable else 0,
        )


def _within_reach(askable: Sequence[Interval], window: SeriesWindow, of_venue: Venue) -> list[Interval]:
    """Some venues keep a limited number of bars."""
    from_ms = of_venue.oldest_open_ms(timeframe(window.timeframe).step_ms, round(time.time() * 1000))
    if from_ms is None:
        return list(askable)
    return intersection(askable, [Interval(from_ms, max(from_ms, window.end_ms))])

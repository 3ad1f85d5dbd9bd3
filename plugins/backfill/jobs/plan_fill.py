"""What a fill would do, series by series and source by source, found without asking anybody."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from backfill.domain.intervals import Interval, intersection
from backfill.domain.page_plan import PlannedPage, plan_pages
from backfill.domain.timeframes import timeframe
from backfill.errors import ConfigurationError
from backfill.exchanges.blofin_client import SOURCE as BLOFIN
from backfill.exchanges.venues import venue
from backfill.jobs.find_gaps import SeriesGaps
from backfill.jobs.supplies import Supplies
from backfill.storage.candle_store import Selection, SeriesWindow


class PlannedSource(NamedTuple):
    """One source's part in filling one series. ``gaps`` and ``missing_candles`` are the series', in gaps and bars.

    ``requests_planned`` would fetch all that the source has yet to be asked for; where it is not the ``first`` of its
    series, these are the most it can come to, since it is asked for what those before it have left. ``newest_ms`` is
    where the newest of it ends.
    """

    symbol: str
    timeframe: str
    source: str
    gaps: int
    missing_candles: int
    requests_planned: int
    newest_ms: int
    first: bool


class FillPlan(NamedTuple):
    """``requests_planned`` counts the first source of each series: the others may have nothing left to do."""

    rows: list[PlannedSource]
    missing_candles: int
    requests_planned: int

    def series_to_ask_for(self) -> list[SeriesGaps]:
        """The series with anything left to ask a source for, the newest first."""
        newest_of: dict[tuple[str, str], PlannedSource] = {}
        for row in sorted(self.rows, key=lambda row: -row.newest_ms):
            if row.requests_planned:
                newest_of.setdefault((row.symbol, row.timeframe), row)
        return [SeriesGaps(row.symbol, row.timeframe, row.missing_candles, row.newest_ms) for row in newest_of.values()]

    def lines(self) -> Iterator[str]:
        """For a log: what there is to do, the most missing first."""
        for row in sorted(self.rows, key=lambda row: (-row.missing_candles, row.symbol, row.timeframe, not row.first)):
            if row.missing_candles or row.requests_planned:
                yield (
                    f"{row.symbol} {row.timeframe}: {row.missing_candles:,} candles are missing in {row.gaps:,} gaps; "
                    f"{row.source}: {'' if row.first else 'at most '}{row.requests_planned:,} requests"
                )
        requests = f"{self.requests_planned:,} requests"
        yield f"in all {self.missing_candles:,} candles are missing; {requests} would fetch them"


def plan_fill(
    supplies: Supplies, which: Selection, *, only: Sequence[str] | None = None, recheck: bool = False
) -> FillPlan:
    """The plan of filling what ``which`` selects, each series from its sources or from ``only`` those, in that order.

    Raises :class:`ConfigurationError` when the universe has none of ``only`` for any series.
    """
    store, now_ms = supplies.store, round(time.time() * 1000)
    rows: list[PlannedSource] = []
    windows = store.windows(which)
    for window in windows:
        allowed = store.source_names(window.source_ids)
        first = True
        for name in allowed if only is None else only:
            if name not in allowed or not (name == BLOFIN or venue(name).serves(window.timeframe)):
                continue
            work = store.open_work(window, store.source_id(name), recheck=recheck)
            pages = _pages(work.askable, window, name, supplies.settings.batch_limit, now_ms)
            rows.append(
                PlannedSource(
                    symbol=window.symbol,
                    timeframe=window.timeframe,
                    source=name,
                    gaps=work.gaps_found,
                    missing_candles=work.missing_candles,
                    requests_planned=len(pages),
                    newest_ms=pages[0].after_ms if pages else 0,
                    first=first,
                )
            )
            first = False
    if only and windows and not rows:
        raise ConfigurationError(f"sources: the universe has none of {', '.join(only)} for what is to be filled")
    firsts = [row for row in rows if row.first]
    return FillPlan(rows, sum(row.missing_candles for row in firsts), sum(row.requests_planned for row in firsts))


def _pages(
    askable: Sequence[Interval], window: SeriesWindow, source: str, blofin_rows_per_page: int, now_ms: int
) -> list[PlannedPage]:
    """The pages that cover what a source may be asked for, as far back as it reaches."""
    step_ms = timeframe(window.timeframe).step_ms
    if source == BLOFIN:
        return plan_pages(askable, step_ms, blofin_rows_per_page)
    of_venue = venue(source)
    from_ms = of_venue.oldest_open_ms(step_ms, now_ms)
    if from_ms is not None:
        askable = intersection(askable, [Interval(from_ms, max(from_ms, window.end_ms))])
    return plan_pages(askable, step_ms, of_venue.rows(window.timeframe))

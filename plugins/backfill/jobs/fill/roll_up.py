"""Derive missing bars from finer stored bars where the sum is exact, without asking a source.

An exchange makes bars of all lengths from the same trades, so a complete set of finer bars adds up to the coarser one
(``domain.next_timeframe``). Derived bars have the source ``derived:<finer timeframe>``, count as held, and are replaced
by the primary source's. See docs/decisions/0019-roll-ups.md.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backfill.domain.answers import bar_intervals
from backfill.domain.candle_columns import CANDLE_COLUMNS, PRICES, VOLUMES
from backfill.domain.intervals import Interval, difference, intersection, union
from backfill.domain.next_timeframe import NOISE, aggregate
from backfill.domain.page_plan import plan_pages
from backfill.domain.timeframes import Timeframe, timeframe
from backfill.storage.candle_store import CandleStore
from backfill.storage.finer_series import FinerSeries, finer_series
from backfill.storage.gap_fill_log import Requests
from backfill.storage.series import SeriesWindow, StoredPage

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

# About 5 MB in memory.
CHUNK_BARS = 50_000
# Late corrections make a few replaced bars differ. If more do, sums are unreliable and none are derived.
MOST_REPLACED, FEWEST_CONTRADICTED, CONTRADICTED_SHARE = 100, 3, 0.1
# More digits are float noise: 469.89449999999994 for 469.8945.
SUMMED_DIGITS = 14


def roll_up(store: CandleStore, window: SeriesWindow, fill_run_id: int, *, recheck: bool = False) -> int:
    """Derive missing bars, update derived ones whose inputs changed, and return the rows written.

    The nearest finer timeframe comes first, since it needs the fewest rows. ``recheck``: compare all derived bars with
    their inputs. The caller holds the series (``working_on``), with partitions prepared.
    """
    if not window.roll_up:
        return 0
    coarse = timeframe(window.timeframe)
    made: list[Interval] = []
    rows = 0
    for finer in _usable(store, window, recheck=recheck):
        left = replace(finer, missing=difference(finer.missing, made))
        for span, due in _chunks(left, coarse):
            bars = _changed(store, window, left, _derived(store, left, coarse, span, due), span)
            if len(bars):
                rows += _write(store, window, left, coarse, bars, fill_run_id)
                made += bar_intervals(bars["open_ms"].to_numpy(), coarse.step_ms)
    return rows


def will_be_made(
    store: CandleStore, window: SeriesWindow, will_be_held: Mapping[int, Sequence[Interval]]
) -> list[Interval]:
    """Bars that roll-ups make once primaries supply ``will_be_held`` (by series id)."""
    if not window.roll_up:
        return []
    coarse = timeframe(window.timeframe)
    return union(
        bars
        for finer in _usable(store, window, recheck=False)
        for bars in intersection(
            finer.missing,
            _inner(union([*finer.held, *finer.silent, *will_be_held.get(finer.series_id, ())]), coarse),
        )
    )


def in_turn(windows: Sequence[SeriesWindow]) -> Iterator[list[SeriesWindow]]:
    """Group windows to fill in order, finest first; those without roll-ups are groups of one."""
    of_symbol: dict[str, list[SeriesWindow]] = {}
    for window in sorted(windows, key=lambda one: timeframe(one.timeframe).step_ms):
        of_symbol.setdefault(window.symbol, []).append(window)
    for symbol in dict.fromkeys(window.symbol for window in windows):
        finest, *coarser = of_symbol[symbol]
        if any(window.roll_up for window in coarser):
            yield [finest, *coarser]
        else:
            yield from ([window] for window in (finest, *coarser))


def reaching_back(store: CandleStore, windows: Sequence[SeriesWindow]) -> list[SeriesWindow]:
    """Start each window, fine to coarse, early enough for the next one's missing first bar.

    Windows are counted back from their end, so 250 days of 1d start up to a day before 250 days of 1h; without those
    hours the first 1d bar would cost a request. Not done where listing or retention limits the finer window.
    """
    wider: list[SeriesWindow] = []
    first_bar_ms = 0  # longest bar that starts with the coarser window
    for window in reversed(windows):
        if wider and _is_late_for(wider[0], window, first_bar_ms) and _lacks_first_bar(store, wider[0]):
            wider.insert(0, window._replace(start_ms=wider[0].start_ms))
        else:
            wider.insert(0, window)
            first_bar_ms = timeframe(window.timeframe).step_ms
    return wider


def whole_bars(
    finer: pd.DataFrame, silent: Sequence[Interval], finer_tf: Timeframe, coarse_tf: Timeframe
) -> pd.DataFrame:
    """Coarser bars that ``finer`` determines: each part present or ``silent``, at least one traded.

    ``finer`` and the result are candle frames (``frames.candle_frame``), oldest first. ``silent``: proved without
    trades, not in ``finer``. Unknown volume of a part rules out the bar; unknown quote volume stays unknown.
    """
    if not len(finer):
        return finer[CANDLE_COLUMNS]
    sums = aggregate(finer, coarse_tf)
    opens_ms = sums["open_ms"].to_numpy(np.int64)
    there = sums["bars"].to_numpy() + _bars_within(silent, opens_ms, finer_tf, coarse_tf)
    is_whole = (there == coarse_tf.step_ms // finer_tf.step_ms) & sums["volume"].notna().to_numpy()
    whole: pd.DataFrame = sums.loc[is_whole, CANDLE_COLUMNS].reset_index(drop=True)
    for name in VOLUMES:
        whole[name] = [float(f"{volume:.{SUMMED_DIGITS}g}") for volume in whole[name]]
    return whole


def _is_late_for(coarser: SeriesWindow, window: SeriesWindow, first_bar_ms: int) -> bool:
    is_made_of_it = coarser.roll_up and coarser.source_ids[:1] == window.source_ids[:1]
    fits = timeframe(coarser.timeframe).step_ms % timeframe(window.timeframe).step_ms == 0
    is_listed = window.list_ms is None or window.list_ms <= coarser.start_ms
    could_begin = is_listed and not window.is_pruned
    return is_made_of_it and fits and could_begin and 0 < window.start_ms - coarser.start_ms < first_bar_ms


def _lacks_first_bar(store: CandleStore, window: SeriesWindow) -> bool:
    first = window._replace(end_ms=window.start_ms + timeframe(window.timeframe).step_ms)
    return store.open_work(first).missing_candles > 0


def _bars_within(
    intervals: Sequence[Interval], opens_ms: NDArray[np.int64], finer_tf: Timeframe, coarse_tf: Timeframe
) -> NDArray[np.int64]:
    """Finer bars of ``intervals`` per coarser bar."""
    joined = union(intervals)
    if not joined:
        return np.zeros(len(opens_ms), dtype=np.int64)
    edges = np.array([edge for interval in joined for edge in interval], dtype=np.float64)
    lengths = np.array([part for start, end in joined for part in (0, end - start)], dtype=np.float64)
    before = np.cumsum(lengths)  # covered before each edge, linear in between
    covered_ms = np.interp(opens_ms + coarse_tf.step_ms, edges, before) - np.interp(opens_ms, edges, before)
    return np.asarray(covered_ms // finer_tf.step_ms, dtype=np.int64)


def _chunks(finer: FinerSeries, coarse: Timeframe) -> Iterator[tuple[Interval, list[Interval]]]:
    """Spans that fit in memory, newest first, and their bars to derive."""
    whole = _inner(union([*finer.held, *finer.silent]), coarse)
    due = intersection(union([*finer.missing, *finer.stale]), whole)
    bars_at_once = max(1, CHUNK_BARS * finer.timeframe.step_ms // coarse.step_ms)
    for page in plan_pages(due, coarse.step_ms, bars_at_once):
        span = Interval(page.reach_ms, page.after_ms)
        yield span, intersection(due, [span])


def _derived(
    store: CandleStore, finer: FinerSeries, coarse: Timeframe, span: Interval, due: Sequence[Interval]
) -> pd.DataFrame:
    """Bars whose finer bars are all the primary's."""
    stored = store.candles(finer.series_id, span)
    of_primary = stored[stored["source_id"].isin(finer.trusted)]
    bars = whole_bars(of_primary, finer.silent, finer.timeframe, coarse)
    may_be_made = _is_within(bars["open_ms"].to_numpy(), due)
    return bars[may_be_made]


def _changed(
    store: CandleStore, window: SeriesWindow, finer: FinerSeries, bars: pd.DataFrame, span: Interval
) -> pd.DataFrame:
    """New and changed bars; other sources' are never replaced."""
    stored = store.candles(window.series_id, span).set_index("open_ms")
    opens_ms = bars["open_ms"]
    ours = stored[stored["source_id"] == store.source_id(finer.source)].reindex(opens_ms)
    old = ours[[*PRICES, *VOLUMES]].to_numpy(np.float64)
    new = bars[[*PRICES, *VOLUMES]].to_numpy(np.float64)
    differs = (np.abs(new - old) > NOISE * np.abs(old)) | (np.isnan(old) & ~np.isnan(new))
    is_ours = ours["source_id"].notna().to_numpy()
    is_new = ~opens_ms.isin(stored.index).to_numpy()
    changed: pd.DataFrame = bars[is_new | (is_ours & differs.any(axis=1))].reset_index(drop=True)
    return changed


def _write(
    store: CandleStore,
    window: SeriesWindow,
    finer: FinerSeries,
    coarse: Timeframe,
    bars: pd.DataFrame,
    fill_run_id: int,
) -> int:
    """Only bars of settled parts are settled; the primary source is asked about others later."""
    intervals = bar_intervals(bars["open_ms"].to_numpy(), coarse.step_ms)
    settled = intersection(intervals, _inner(union([*finer.settled, *finer.silent]), coarse))
    source_id = store.source_id(finer.source)

    def write() -> StoredPage:
        stored = store.store_page(window, source_id, bars, bars=intervals, settled=settled, fill_run_id=fill_run_id)
        store.run_log.count(fill_run_id, finer.source, stored, coarse.step_ms, Requests(0, 0))
        return stored

    stored = store.in_page_transaction(write)
    return stored.inserted + stored.revised


def _inner(intervals: Sequence[Interval], coarse: Timeframe) -> list[Interval]:
    """Whole coarser bars within ``intervals``."""
    return union(Interval(coarse.ceil(start), coarse.floor(end)) for start, end in intervals)


def _is_within(opens_ms: NDArray[np.int64], intervals: Sequence[Interval]) -> NDArray[np.bool_]:
    # Inside: an odd number of edges at or before.
    edges = np.array([edge for interval in intervals for edge in interval], dtype=np.int64)
    return np.asarray(np.searchsorted(edges, opens_ms, side="right") % 2 == 1)


def _is_refuted(finer: FinerSeries) -> bool:
    return finer.contradicted >= FEWEST_CONTRADICTED and finer.contradicted > CONTRADICTED_SHARE * finer.replaced


def _usable(store: CandleStore, window: SeriesWindow, *, recheck: bool) -> list[FinerSeries]:
    usable: list[FinerSeries] = []
    for one in finer_series(store, window, most_replaced=MOST_REPLACED, recheck=recheck):
        if _is_refuted(one):
            log.warning(
                "%s %s: no longer derived from %s, since the primary source disagreed with %d of %d bars",
                window.symbol, window.timeframe, one.timeframe.name, one.contradicted, one.replaced,
            )  # fmt: skip
        else:
            usable.append(one)
    return usable

"""Make missing bars of finer ones that are held, where the sum is exact: no source has to be asked for them.

An exchange makes its bars of every length from the same trades, so a whole set of its finer bars adds up to its coarser
one (``domain.next_timeframe``). What is made so names ``derived:<finer timeframe>`` as its source, counts as held, and
gives way to the home's own bar whenever a page brings one. See docs/decisions/0019-roll-ups.md.
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
from backfill.storage.series import SeriesWindow

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

# Finer bars that are in memory at once: about 5 MB.
CHUNK_BARS = 50_000
# Of this many bars that the primary source has given itself since, a few may differ: those it corrected late.
# Where more do, its bars do not add up, and none are made.
MOST_REPLACED, FEWEST_CONTRADICTED, CONTRADICTED_SHARE = 100, 3, 0.1
# Significant digits of a sum of volumes: the next one is the noise of adding floats, 469.89449999999994 for 469.8945.
SUMMED_DIGITS = 14


def roll_up(store: CandleStore, window: SeriesWindow, fill_run_id: int, *, recheck: bool = False) -> int:
    """Store what ``window`` lacks and finer bars make; correct what was made of bars that have changed. Rows written.

    The nearest finer timeframe comes first: it gives the same bar from the fewest rows. ``recheck``: compare all that
    was made with what it was made of. To be called in an attempt that holds the series (``working_on``), its
    partitions prepared.
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
    """The missing bars of ``window`` that finer ones make once ``will_be_held``, by series, came from their home."""
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
    """The windows in groups, each filled one after the other: what a finer one has got makes bars of a coarser one.

    Where no bars are made of others each window is alone.
    """
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
    """The windows of one symbol, from fine to coarse, each begun where the first bar begins that the next one lacks.

    A history is counted back from the end of the last bar, so 250 days of 1d begin up to a day before 250 days of 1h:
    without those hours their first bar would cost a request. Where a listing bounds them there are no such hours, and
    where a retention does they would not stay.
    """
    wider: list[SeriesWindow] = []
    first_bar_ms = 0  # the longest bar that begins where the coarser window does
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
    """The coarser bars that ``finer`` makes for certain: each of their bars is there or ``silent``, and one traded.

    Both are candle frames (``frames.candle_frame``), oldest first; ``silent`` is proved to have had no trade and is not
    in ``finer``. A volume that is unknown cannot be added up, so there is no such bar; an
    unknown quote volume is stored as unknown.
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
    """Whether ``window`` begins within the first bar of ``coarser`` and could begin with it."""
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
    """How many finer bars of ``intervals`` lie in each coarser bar."""
    joined = union(intervals)
    if not joined:
        return np.zeros(len(opens_ms), dtype=np.int64)
    edges = np.array([edge for interval in joined for edge in interval], dtype=np.float64)
    lengths = np.array([part for start, end in joined for part in (0, end - start)], dtype=np.float64)
    before = np.cumsum(lengths)  # how much is covered before each edge; in between it grows evenly or not at all
    covered_ms = np.interp(opens_ms + coarse_tf.step_ms, edges, before) - np.interp(opens_ms, edges, before)
    return np.asarray(covered_ms // finer_tf.step_ms, dtype=np.int64)


def _chunks(finer: FinerSeries, coarse: Timeframe) -> Iterator[tuple[Interval, list[Interval]]]:
    """Spans that memory should hold, newest first, and in each the bars that may be made there."""
    whole = _inner(union([*finer.held, *finer.silent]), coarse)
    due = intersection(union([*finer.missing, *finer.stale]), whole)
    bars_at_once = max(1, CHUNK_BARS * finer.timeframe.step_ms // coarse.step_ms)
    for page in plan_pages(due, coarse.step_ms, bars_at_once):
        span = Interval(page.reach_ms, page.after_ms)
        yield span, intersection(due, [span])


def _derived(
    store: CandleStore, finer: FinerSeries, coarse: Timeframe, span: Interval, due: Sequence[Interval]
) -> pd.DataFrame:
    """The bars of ``due`` that the finer ones make, as long as all of those are the home's."""
    stored = store.candles(finer.series_id, span)
    of_home = stored[stored["source_id"].isin(finer.trusted)]
    bars = whole_bars(of_home, finer.silent, finer.timeframe, coarse)
    may_be_made = _is_within(bars["open_ms"].to_numpy(), due)
    return bars[may_be_made]


def _changed(
    store: CandleStore, window: SeriesWindow, finer: FinerSeries, bars: pd.DataFrame, span: Interval
) -> pd.DataFrame:
    """Those of ``bars`` that are not stored, and those that were made of the same series and differ.

    Nothing is replaced that came from another source.
    """
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
    """One transaction, as for a page. What is made of settled bars is settled; for the rest the home is asked later."""
    intervals = bar_intervals(bars["open_ms"].to_numpy(), coarse.step_ms)
    settled = intersection(intervals, _inner(union([*finer.settled, *finer.silent]), coarse))
    with store.page_transaction():
        stored = store.store_page(
            window, store.source_id(finer.source), bars, bars=intervals, settled=settled, fill_run_id=fill_run_id
        )
        store.run_log.count(fill_run_id, finer.source, stored, coarse.step_ms, Requests(0, 0))
    return stored.inserted + stored.revised


def _inner(intervals: Sequence[Interval], coarse: Timeframe) -> list[Interval]:
    """The whole coarser bars in each."""
    return union(Interval(coarse.ceil(start), coarse.floor(end)) for start, end in intervals)


def _is_within(opens_ms: NDArray[np.int64], intervals: Sequence[Interval]) -> NDArray[np.bool_]:
    # An open time lies inside an interval when an odd number of interval edges is at or before it.
    edges = np.array([edge for interval in intervals for edge in interval], dtype=np.int64)
    return np.asarray(np.searchsorted(edges, opens_ms, side="right") % 2 == 1)


def _is_refuted(finer: FinerSeries) -> bool:
    """Whether the primary source disagreed with too many of the derived bars."""
    return finer.contradicted >= FEWEST_CONTRADICTED and finer.contradicted > CONTRADICTED_SHARE * finer.replaced


def _usable(store: CandleStore, window: SeriesWindow, *, recheck: bool) -> list[FinerSeries]:
    """The finer series whose bars add up to what the primary source says, the nearest first."""
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

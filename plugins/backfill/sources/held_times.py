"""Check the times of an answer's rows by what is held, since a page may be in order and yet shifted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backfill.domain.answers import bar_intervals
from backfill.domain.candle_columns import CandleFrame
from backfill.domain.candle_rules import BrokenRow
from backfill.domain.intervals import Interval, difference, intersection
from backfill.domain.shifted_rows import OPEN_TIME_OF_ANOTHER_BAR, held_rows, shifted_rows
from backfill.domain.timeframes import Timeframe
from backfill.sources.candle_source import CandlePage
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.series import SeriesWindow

log = logging.getLogger(__name__)


def is_shifted(page: CandlePage) -> bool:
    """Whether :meth:`HeldTimes.checked` found rows under others' times."""
    return any(row.rule == OPEN_TIME_OF_ANOTHER_BAR for row in page.broken)


class HeldTimes:
    """The times of one source's rows in one attempt on a series. ``held``: bars held before it."""

    def __init__(
        self,
        store: CandleStore,
        window: SeriesWindow,
        source_id: int,
        fill_run_id: int,
        timeframe: Timeframe,
    ) -> None:
        self.held: Sequence[Interval] = ()
        self._store = store
        self._window = window
        self._source_id = source_id
        self._fill_run_id = fill_run_id
        self._timeframe = timeframe

    def checked(self, page: CandlePage, span: Interval) -> CandlePage:
        """The page; if some rows of ``span`` stand under others' times, without all that is not held already.

        If another run was given the same rows, the source means them so: only those discarded by a person are left out.
        """
        held = self._held_where_some_are_left_out(page, span)
        if held is None or not (shifted := shifted_rows(page.candles, held)).any():
            return page
        opens_ms, places = (page.candles[name][shifted].tolist() for name in ("open_ms", "place"))
        broken = [BrokenRow(*row, OPEN_TIME_OF_ANOTHER_BAR) for row in zip(places, opens_ms, strict=True)]
        rows = [QuarantinedRow(row.open_ms, row.rule, page.rows[row.place]) for row in broken]
        before = self._store.quarantine.given_before(self._window.series_id, self._source_id, rows, self._fill_run_id)
        if before.another_run + len(before.discarded_ms) == len(rows):
            is_discarded = np.isin(page.candles["open_ms"], before.discarded_ms)
            return replace(page, candles=page.candles.rows(~is_discarded), is_clean=False)
        log.warning(
            "%s %s: of the answer before %d, %d rows have the numbers of held bars that it leaves out; none is stored",
            self._window.symbol,
            self._window.timeframe,
            page.after_ms,
            len(rows),
        )
        known = page.candles.rows(held_rows(page.candles, held))
        return replace(page, candles=known, broken=[*page.broken, *broken], is_clean=False)

    def _held_where_some_are_left_out(self, page: CandlePage, span: Interval) -> CandleFrame | None:
        if page.covers is None or not self.held or not len(page.candles):
            return None
        asked = intersection([page.covers], [span])
        left_out = difference(asked, bar_intervals(page.candles["open_ms"], self._timeframe.step_ms))
        if not intersection(left_out, self.held):
            return None
        return CandleFrame.of(self._store.candles(self._window.series_id, asked[0]))

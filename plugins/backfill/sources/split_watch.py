"""Notice that a source has rescaled a series after a split, so that the whole series is replaced."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from backfill.domain.answers import bar_intervals
from backfill.domain.candle_columns import PRICES
from backfill.domain.intervals import Interval, intersection, union
from backfill.domain.splits import ADJUSTED, Split, rescaled
from backfill.domain.timeframes import Timeframe
from backfill.errors import ContradictoryAnswer
from backfill.sources.candle_source import CandlePage
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow

log = logging.getLogger(__name__)


class SplitWatch:
    """Compares one source's answers with the stored bars of a series.

    ``found``: the split. Only prices adjusted for splits change so; only the primary source decides.
    """

    def __init__(self, store: CandleStore, window: SeriesWindow, source: str, source_id: int, bars: Timeframe) -> None:
        self.found: Split | None = None
        self._store = store
        self._window = window
        self._source = source
        self._source_id = source_id
        self._bars = bars
        self._is_adjusted = window.splits == ADJUSTED
        self._kept = store.splits.kept(window.series_id) if self._is_adjusted else []
        self._given: list[Interval] = []

    @property
    def kept(self) -> list[Interval]:
        """All that is held, whatever the window."""
        return self._kept

    def shows_a_split(self, pages: Sequence[CandlePage]) -> bool:
        """Whether these or earlier pages show a split; raises where another source must decide."""
        if not self._is_adjusted:
            return False
        for page in pages:
            self._given = union([*self._given, *bar_intervals(page.candles["open_ms"], self._bars.step_ms)])
            if self.found is None and len(page.candles) and (split := self._split_on(page)) is not None:
                if self._source_id != self._window.source_ids[0]:
                    raise ContradictoryAnswer(
                        self._source,
                        f"its prices of {self._window.symbol} are off by {split}, as after a split that the primary "
                        "source does not show yet: nothing of them is stored",
                    )
                log.warning("%s %s: a split of %s", self._window.symbol, self._window.timeframe, split)
                self.found = split
        return self.found is not None

    def _split_on(self, page: CandlePage) -> Split | None:
        first, last = int(page.candles["open_ms"][0]), int(page.candles["open_ms"][-1])
        span = Interval(first, last + self._bars.step_ms)
        if not intersection(self._kept, [span]):
            return None
        stored = self._store.candles(self._window.series_id, span)
        columns = {name: stored[name].to_numpy() for name in ("open_ms", *PRICES)}
        return rescaled(columns, {name: page.candles[name] for name in columns}, page.now_ms)

    def settle(self, fill_run_id: int) -> int:
        """Once the series is stored: rescale what the source did not give, log the split; return the number of bars."""
        if self.found is None:
            return 0
        bars = self._store.splits.rescale(self._window, self.found, self._given, fill_run_id)
        self._store.splits.record(self._window.symbol, self._source_id, self.found)
        return bars

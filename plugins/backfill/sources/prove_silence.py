"""Decide by other timeframes what the primary source of a series lacks.

If the shorter bars add up to a longer one, the absent ones had no trade. If the longer bar is absent too, a still
longer one may decide.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from backfill.domain.answers import LATE_MS, bar_intervals
from backfill.domain.candle_columns import CANDLE_COLUMNS, CandleFrame
from backfill.domain.intervals import Interval, difference, intersection, total_ms, union
from backfill.domain.next_timeframe import coarser, prove
from backfill.domain.page_plan import PlannedPage, plan_pages
from backfill.domain.price_kinds import TRADE, kind_of
from backfill.domain.silence import plausible
from backfill.domain.timeframes import Timeframe, timeframe
from backfill.domain.venues import venue
from backfill.errors import ExchangeError, PaginationStalled
from backfill.sources.candle_source import CandlePage, CandleSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding
from backfill.storage.series import SeriesWindow
from backfill.storage.silences import Silence

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MAX_PAGES = 4
# Shorter bars in a longer one: a small lost one hardly shows in a larger sum.
MAX_BARS_IN_ONE = 300
# Part of a page that the next run's page for new bars still contains.
STAYS_IN_REACH = 0.75
# Shorter bars in memory at once, about 5 MB.
CHUNK_BARS = 50_000


class SilenceProof:
    """One run's proofs of what the primary source lacks.

    ``earlier``: bars of a page before the window, which help to add up its first longer bar. ``known``: the source's
    silence, if it was just read.
    """

    def __init__(
        self,
        store: CandleStore,
        source: CandleSource,
        window: SeriesWindow,
        max_pages: int,
        earlier: CandleFrame | None = None,
        known: Silence | None = None,
    ) -> None:
        self.requests_planned = 0
        self._store = store
        self._source = source
        self._source_id = store.source_id(source.name)
        self._window = window
        self._span = Interval(window.start_ms, window.end_ms)
        self._timeframe = timeframe(window.timeframe)
        self._max_pages = min(max_pages, MAX_PAGES)
        self._earlier = earlier
        self._silences = store.silences
        self._known = known
        # What longer bars have called lost in this run.
        self._lost: list[Interval] = []

    def run(self) -> None:
        """Prove what it can; an exchange's errors only end it."""
        if self._source_id != self._window.source_ids[0]:
            return
        doubtful = self._doubtful() if self._known is None else self._known.doubtful
        if not doubtful:
            return
        self._ask_finer(doubtful)
        for longer in self._published():
            if longer.name in self._kept:
                self._prove_by_stored(longer)
        try:
            self._ask_longer()
        except (ExchangeError, PaginationStalled) as error:
            log.warning("%s %s: %s", self._window.symbol, self._window.timeframe, error)

    def _doubtful(self) -> list[Interval]:
        return self._silences.of(self._window, self._source_id).doubtful

    @cached_property
    def _kept(self) -> dict[str, int]:
        return self._silences.kept_timeframes(self._window)

    def _ask_finer(self, doubtful: Sequence[Interval]) -> None:
        """A bar in which a stored finer one traded is lost."""
        word = self._silences.finer_word(self._window, doubtful)
        lost = intersection(word.traded, doubtful)
        no_trade = [] if self._fills_silence() else intersection(word.no_trade, doubtful)
        if lost or no_trade:
            self._silences.record_proof(self._window, no_trade, lost)

    def _fills_silence(self) -> bool:
        """Whether the source has bars without trade."""
        known = venue(self._source.name).fills_no_trade or kind_of(self._window.symbol) != TRADE
        return known or self._silences.has_flat_bars(self._window, self._source_id)

    @cached_property
    def _lacking(self) -> set[str]:
        return self._silences.lacking_timeframes(self._window, self._source_id)

    def _published(self) -> list[Timeframe]:
        return [one for one in coarser(self._window.timeframe) if venue(self._source.name).serves(one.name)]

    def _unstored(self) -> list[Timeframe]:
        """Timeframes without a series, whose pages must be requested.

        None for a day if the source lacks even the nearest. Then each silent page is read twice, as only a full second
        answer in another run is evidence.
        """
        unstored = [one for one in self._published() if one.name not in self._kept]
        if unstored and unstored[0].name in self._lacking:
            return []
        return [one for one in unstored if one.name not in self._lacking]

    def _prove_by_stored(self, longer: Timeframe) -> None:
        rows = max(1, CHUNK_BARS * self._timeframe.step_ms // longer.step_ms)
        for page in plan_pages(self._buckets(longer, self._doubtful()), longer.step_ms, rows):
            chunk = Interval(page.reach_ms, page.after_ms)
            bars = self._store.candles(self._kept[longer.name], chunk)
            self._record(longer, bars[bars["source_id"] == self._source_id], chunk)

    def _ask_longer(self) -> None:
        """Request the bars that decide most, or the nearest if there are none; then longer ones if that pays."""
        asked_ms = 0
        while longer := self._most_telling(asked_ms):
            if self._prove_by_pages(longer, self._doubtful()):
                asked_ms = longer.step_ms
                self._narrow_down(longer)
                continue
            nearest = next(iter(self._unstored()), longer)
            if not asked_ms and nearest != longer:
                self._prove_by_pages(nearest, self._doubtful())
            return

    def _most_telling(self, beyond_ms: int) -> Timeframe | None:
        """The timeframe longer than ``beyond_ms`` that can decide most doubtful bars with the fewest pages.

        A longer bar decides if something traded in it: where it is absent too, only a still longer one can.
        """
        if self._pages_left() <= 0:
            return None
        silence = self._silences.of(self._window, self._source_id)
        pages_again = self._pages_again(silence) if beyond_ms else None
        options = []
        for one in self._unstored():
            pages = len(self._pages(one, silence.doubtful))
            traded = union([Interval(one.floor(start), one.ceil(end)) for start, end in silence.held])
            decides_ms = total_ms(intersection(silence.doubtful, intersection(traded, [self._closed(one)])))
            is_cheaper = decides_ms > 0 and (pages_again is None or pages < pages_again)
            if one.step_ms > beyond_ms and pages and (is_cheaper or not beyond_ms):
                options.append((-decides_ms, pages, one.step_ms, one))
        narrow = [option for option in options if option[2] <= MAX_BARS_IN_ONE * self._timeframe.step_ms]
        return min(narrow or options[:1])[-1] if options else None

    def _pages_again(self, silence: Silence) -> int | None:
        """Pages in which the next run asks again for doubtful bars, beyond those it needs for new bars.

        None: a second answer would not be believed.
        """
        step_ms, rows = self._timeframe.step_ms, self._source.rows_per_page
        if total_ms(plausible(silence.doubtful, silence.held, silence.silent, step_ms)) < total_ms(silence.doubtful):
            return None
        asked_anyway = Interval(self._span.end - int(STAYS_IN_REACH * rows) * step_ms, self._span.end)
        return len(plan_pages(difference(silence.doubtful, [asked_anyway]), step_ms, rows))

    def _narrow_down(self, longer: Timeframe) -> None:
        """A longer bar that does not add up calls all its silence lost: ask nearer ones which part was."""
        if not self._lost or self._pages_left() <= 0:
            return
        for nearer in self._published():
            if nearer.step_ms < longer.step_ms and len(self._pages(nearer, self._lost)) == 1:
                self._prove_by_pages(nearer, self._lost)
                return

    def _pages(self, longer: Timeframe, bars: Sequence[Interval]) -> list[PlannedPage]:
        return plan_pages(self._buckets(longer, bars), longer.step_ms, self._source.rows_per_page)

    def _pages_left(self) -> int:
        return self._max_pages - self.requests_planned

    def _prove_by_pages(self, longer: Timeframe, bars: Sequence[Interval]) -> bool:
        return all(self._prove_page(longer, planned) for planned in self._pages(longer, bars)[: self._pages_left()])

    def _prove_page(self, longer: Timeframe, planned: PlannedPage) -> bool:
        """Whether the source has longer bars at all; if not, it is not asked again soon."""
        self.requests_planned += 1
        page = self._source.ask(self._window.symbol, longer, planned.after_ms)
        if not page.rows:
            self._note_that_none_are_there(longer, planned)
            return False
        if page.covers is None or not page.is_clean:
            return True
        for span in intersection([Interval(planned.reach_ms, planned.after_ms)], [page.covers]):
            self._record(longer, page.sound, span)
        self._record_start(longer, page, planned)
        return True

    def _note_that_none_are_there(self, longer: Timeframe, planned: PlannedPage) -> None:
        look = Finding(
            "next_timeframe",
            "unverified",
            self._window.series_id,
            self._source_id,
            planned.reach_ms,
            planned.after_ms,
            detail={"timeframe": longer.name},
            status="settled",
        )
        self._store.findings.record([look])
        self._lacking.add(longer.name)

    def _record(self, longer: Timeframe, bars: pd.DataFrame, covers: Interval) -> None:
        silence = self._silences.of(self._window, self._source_id)
        fine = self._shorter(covers)
        theirs = fine["source_id"] != self._source_id
        foreign = bar_intervals(fine[theirs]["open_ms"].to_numpy(), self._timeframe.step_ms)
        closed = self._window.closed
        proof = prove(fine[~theirs], bars, self._timeframe, longer, covers, silence.silent, foreign, closed)
        open_bars = union([*silence.doubtful, *self._lost])
        no_trade = [] if self._fills_silence() else intersection(proof.no_trade, open_bars)
        lost = intersection(proof.lost, open_bars)
        if no_trade or lost:
            self._silences.record_proof(self._window, no_trade, lost)
            self._lost = union([*difference(self._lost, no_trade), *lost])

    def _shorter(self, covers: Interval) -> pd.DataFrame:
        stored = self._store.candles(self._window.series_id, covers)
        if self._earlier is None or covers.start >= self._span.start:
            return stored
        import pandas as pd

        earlier = self._earlier.to_pandas()[CANDLE_COLUMNS].assign(source_id=self._source_id)
        is_new = (earlier["open_ms"] >= covers.start) & ~earlier["open_ms"].isin(stored["open_ms"])
        frames = [frame for frame in (earlier[is_new], stored) if len(frame)]
        return pd.concat(frames).sort_values("open_ms") if frames else stored

    def _record_start(self, longer: Timeframe, page: CandlePage, planned: PlannedPage) -> None:
        """Where shorter and longer bars begin together, history begins."""
        silence = self._silences.of(self._window, self._source_id)
        if not len(page.candles) or len(page.rows) >= self._source.rows_per_page or not silence.held:
            return
        starts_ms = int(page.candles["open_ms"].min())
        if longer.floor(silence.held[0].start) == starts_ms and starts_ms > planned.reach_ms:
            before = intersection(silence.doubtful, [Interval(self._span.start, silence.held[0].start)])
            self._silences.grade(self._window, [self._source_id], before, "reported")

    def _buckets(self, longer: Timeframe, bars: Sequence[Interval]) -> list[Interval]:
        """Closed longer bars with any of ``bars`` in them."""
        buckets = [Interval(longer.floor(start), longer.ceil(end)) for start, end in bars]
        if bars and bars[0].start == self._span.start:
            # The bar after a silent start shows whether the longer ones begin there too.
            buckets[0] = Interval(buckets[0].start, buckets[0].end + longer.step_ms)
        return intersection(union(buckets), [self._closed(longer)])

    def _closed(self, longer: Timeframe) -> Interval:
        over_ms = min(self._span.end, round(time.time() * 1000) - LATE_MS)
        first_ms = longer.floor(self._span.start)
        return Interval(first_ms, max(first_ms, longer.floor(over_ms)))

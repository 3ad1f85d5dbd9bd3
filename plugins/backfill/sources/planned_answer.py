"""Ask for one planned page until its answer hangs together: whole, in order, and no jump in it left unasked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, difference, intersection, union
from backfill.domain.page_plan import PlannedPage
from backfill.domain.silence import longest_plausible_run
from backfill.domain.timeframes import Timeframe
from backfill.errors import ExchangeError, PaginationStalled
from backfill.sources.candle_source import CandlePage, silent_in

log = logging.getLogger(__name__)

# Questions about one planned page, beside those that bring it on.
MAX_EXTRA = 2
# A silent run in a series of which nothing is known is asked about from such a part of a page on, if it is so many
# times as long as any other of the page.
JUMP_SHARE, JUMP_TIMES = 0.25, 4


class PlannedAnswer(NamedTuple):
    """The answers that one planned page took, what they say together, and the error that ended the asking before its
    time.

    ``span``: what the planned page may speak for. ``given``: the bars in it that came. ``is_clean``: whether the
    bars that did not come may be called silent. ``refused``: answers that were not used, since their times are wrong.
    """

    span: Interval
    pages: list[CandlePage]
    given: list[Interval]
    is_clean: bool
    contested: frozenset[int]
    refused: int
    error: ExchangeError | PaginationStalled | None


class PageWalk:
    """The way to ask one source for planned pages of a series. Used by several threads; it keeps nothing of a page.

    ``window``: the series' window. ``wanted``: what the source is asked for. ``max_run``: silent runs of up to so
    many bars are usual for the series; None: not known.
    """

    def __init__(
        self,
        source: str,
        ask: Callable[[int], CandlePage],
        timeframe: Timeframe,
        rows_per_page: int,
        window: Interval,
        wanted: Sequence[Interval],
        max_run: int | None,
        *,
        counts_forward: bool,
    ) -> None:
        self.source = source
        self.ask = ask
        self.timeframe = timeframe
        self.page_ms = rows_per_page * timeframe.step_ms
        self.rows_per_page = rows_per_page
        self.window = window
        self.wanted = union(wanted)
        self.max_run = max_run
        self.counts_forward = counts_forward

    def answer(self, planned: PlannedPage) -> PlannedAnswer:
        return _Walk(self, planned).run()


class _Walk:
    def __init__(self, way: PageWalk, planned: PlannedPage) -> None:
        self._way = way
        self._after_ms = planned.after_ms
        self._asked = Interval(planned.reach_ms, planned.after_ms)
        self._span = Interval(max(planned.after_ms - way.page_ms, way.window.start), planned.after_ms)
        self._pages: list[CandlePage] = []
        self._given: list[Interval] = []
        self._covered: list[Interval] = []
        self._probed: list[Interval] = []
        self._extra = self._refused = 0
        self._is_clean = True

    def run(self) -> PlannedAnswer:
        error: ExchangeError | PaginationStalled | None = None
        try:
            while not self._is_over() and (cursor := self._next_cursor()) is not None:
                self._take(cursor)
        except (ExchangeError, PaginationStalled) as raised:
            error = raised
        contested = self._contested()
        is_clean = self._is_clean and not contested
        return PlannedAnswer(self._span, self._pages, self._given, is_clean, contested, self._refused, error)

    def _is_over(self) -> bool:
        """Whether the last answer leads no further: the source has nothing older, or no row can be believed."""
        return bool(self._pages) and (self._pages[-1].covers is None or self._pages[-1].newest_ms is None)

    def _next_cursor(self) -> int | None:
        if not self._pages:
            return self._after_ms
        if rest := difference([self._asked], self._covered):
            return self._cursor_at(rest[-1]) if self._extra < MAX_EXTRA else None
        jump = self._jump() if self._is_clean and self._extra < MAX_EXTRA else None
        if jump is None:
            return None
        self._probed.append(jump)
        return self._cursor_at(jump)

    def _cursor_at(self, span: Interval) -> int:
        """A cursor at which the answer must show ``span`` whatever end of it the source cuts."""
        if self._way.counts_forward and span.end == self._after_ms:
            return span.start + self._way.page_ms
        return span.end

    def _take(self, cursor: int) -> None:
        page = self._ask_whole(cursor)
        self._pages.append(page)
        if page.oldest_ms is None or page.covers is None:
            return
        rows = intersection(bar_intervals(page.sound["open_ms"].to_numpy(), self._way.timeframe.step_ms), [self._span])
        came = difference(rows, self._given)
        covers = page.covers if self._way.counts_forward else Interval(min(page.oldest_ms, cursor), cursor)
        progress = difference(intersection([covers], [self._asked]), self._covered)
        if intersection(came, self._covered):
            # An earlier answer has passed over bars that exist: its silence means nothing.
            self._is_clean = False
        elif not progress or not (came or page.is_clean):
            self._extra += 1
        self._is_clean = self._is_clean and page.is_clean
        self._given = union([*self._given, *rows])
        self._covered = union([*self._covered, *progress])
        if page.oldest_ms >= cursor:
            raise PaginationStalled(self._way.source, cursor, page.oldest_ms)

    def _jump(self) -> Interval | None:
        """The longest silent run that is too long to be believed unasked."""
        silent = [run for page in self._pages for run in silent_in(page, self._span, self._way.timeframe)]
        runs = intersection(difference(silent, [*self._given, *self._probed]), self._way.wanted)
        runs = [run for run in runs if run != self._span]  # the same question once more
        if not runs:
            return None
        lengths = sorted((run.end - run.start) // self._way.timeframe.step_ms for run in runs)
        longest = max(runs, key=lambda run: run.end - run.start)
        others = [run for run in runs if run != longest]
        step_ms = self._way.timeframe.step_ms
        usual = self._way.max_run or longest_plausible_run(self._given, others, step_ms)
        if usual is None:
            usual = int(max(JUMP_SHARE * self._way.rows_per_page, JUMP_TIMES * (lengths[-2] if others else 0)))
        return longest if lengths[-1] > max(usual, JUMP_TIMES) else None

    def _contested(self) -> frozenset[int]:
        """The open times of which two answers say different things: one of them may be another bar's row."""
        if len(self._pages) < 2:
            return frozenset()
        import pandas as pd

        rows = pd.concat([page.sound for page in self._pages]).drop_duplicates()
        return frozenset(rows.loc[rows["open_ms"].duplicated(), "open_ms"].astype(int))

    def _ask_whole(self, cursor: int) -> CandlePage:
        """An answer; one that has wrong times is asked for once more, whole, before anything of it is used."""
        first = self._way.ask(cursor)
        if first.is_clean:
            return first
        log.warning(
            "%s: a page before %d has rows whose times are wrong; it is asked for again", self._way.source, cursor
        )
        self._refused += 1
        second = self._way.ask(cursor)
        return second if second.is_clean else agreed(first, second)


def agreed(first: CandlePage, second: CandlePage) -> CandlePage:
    """The second answer with no rows but those that the first one has too."""
    return replace(second, sound=second.sound.merge(first.sound).reset_index(drop=True))

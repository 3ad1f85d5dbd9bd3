"""Request one planned page until its answer is complete, ordered, and has no unchecked jump."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backfill.domain.answers import bar_intervals
from backfill.domain.candle_columns import CandleFrame, same_rows
from backfill.domain.intervals import Interval, difference, intersection, total_ms, union
from backfill.domain.page_plan import PlannedPage
from backfill.domain.silence import longest_plausible_run
from backfill.domain.timeframes import Timeframe
from backfill.errors import ExchangeError, PaginationStalled
from backfill.sources.candle_source import CandlePage, silent_in

log = logging.getLogger(__name__)

# Extra requests per planned page; an answer with less than LEAST_SHARE of the page counts as one. A limit of 100 rows
# where 1440 are due is tolerated, a trickle of 5 is left to later runs.
MAX_EXTRA, LEAST_SHARE = 2, 1 / 16
# Fewest rows to measure a jump by, else a share of a page is one. Jumps shorter than FEWEST_JUMP are not checked.
FEWEST_ROWS, JUMP_SHARE, FEWEST_JUMP = 100, 0.25, 4

# Fewest rows that show a page of a longer timeframe.
FEWEST_APART = 12


class PlannedAnswer(NamedTuple):
    """The answers to one planned page, and the error that ended them early.

    ``span``: what the page may decide. ``given``: the bars in it that came. ``is_clean``: whether the others may be
    called silent. ``refused``: answers rejected for wrong times.
    """

    span: Interval
    pages: list[CandlePage]
    given: list[Interval]
    is_clean: bool
    contested: frozenset[int]
    refused: int
    error: ExchangeError | PaginationStalled | None


class PageWalk:
    """How to request planned pages of a series; stateless, thread-safe.

    ``wanted``: spans to request. ``held``: given before. ``max_run``: longest usual silent run in bars (None: unknown).
    ``closed``: bars outside the market's hours, always silent.
    """

    def __init__(
        self,
        source: str,
        ask: Callable[[int], CandlePage],
        timeframe: Timeframe,
        rows_per_page: int,
        window: Interval,
        wanted: Sequence[Interval],
        held: Sequence[Interval],
        max_run: int | None,
        closed: Sequence[Interval] = (),
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
        self.held = union(held)
        self.max_run = max_run
        self.closed = closed
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
        """Request pages until nothing is open, or an error ends it."""
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
        """A cursor whose answer must include ``span``, whichever end the source cuts."""
        if self._way.counts_forward and span.end == self._after_ms:
            return span.start + self._way.page_ms
        return span.end

    def _take(self, cursor: int) -> None:
        page = self._ask_whole(cursor)
        self._pages.append(page)
        if page.oldest_ms is None or page.covers is None:
            return
        rows = intersection(bar_intervals(page.candles["open_ms"], self._way.timeframe.step_ms), [self._span])
        came = difference(rows, self._given)
        covers = page.covers if self._way.counts_forward else Interval(min(page.oldest_ms, cursor), cursor)
        progress = difference(intersection([covers], [self._asked]), self._covered)
        if intersection(came, self._covered):
            # An earlier answer skipped existing bars: its silence proves nothing.
            self._is_clean = False
        elif total_ms(progress) < LEAST_SHARE * total_ms([self._asked]) or not (came or page.is_clean):
            self._extra += 1
        self._is_clean = self._is_clean and page.is_clean
        self._given = union([*self._given, *rows])
        self._covered = union([*self._covered, *progress])
        if page.oldest_ms >= cursor:
            raise PaginationStalled(self._way.source, cursor, page.oldest_ms)

    def _jump(self) -> Interval | None:
        """A silent run to check: too long, or bars given before."""
        step_ms = self._way.timeframe.step_ms
        silent = [run for page in self._pages for run in silent_in(page, self._span, self._way.timeframe)]
        runs = difference(silent, [*self._given, *self._probed, *self._way.closed])
        gone = intersection(runs, self._way.held)
        new = [run for run in intersection(runs, self._way.wanted) if run != self._span]  # not the same request again
        if gone or not new:
            return max(gone, key=lambda run: run.end - run.start, default=None)
        longest = max(new, key=lambda run: run.end - run.start)
        others = [run for run in new if run != longest]
        usual = self._way.max_run or longest_plausible_run(self._given, others, step_ms, FEWEST_ROWS)
        if usual is None:
            usual = int(JUMP_SHARE * self._way.rows_per_page)
        return longest if (longest.end - longest.start) // step_ms > max(usual, FEWEST_JUMP) else None

    def _contested(self) -> frozenset[int]:
        if len(self._pages) < 2:
            return frozenset()
        contested: set[int] = set()
        for one, other in combinations(self._pages, 2):
            ours, theirs = _common(one.candles, other.candles)
            contested.update(ours["open_ms"][~same_rows(ours, theirs)].tolist())
        return frozenset(contested)

    def _ask_whole(self, cursor: int) -> CandlePage:
        """An answer; one with wrong times or of another timeframe is requested once more."""
        first = self._way.ask(cursor)
        if first.is_clean and not may_be_longer_bars(first.candles["open_ms"], self._way.timeframe.step_ms):
            return first
        log.warning(
            "%s: a page before %d has rows whose times may be wrong; it is asked for again", self._way.source, cursor
        )
        self._refused += 1
        second = self._way.ask(cursor)
        return second if second.is_clean else agreed(first, second)


def may_be_longer_bars(open_ms: NDArray[np.int64], step_ms: int) -> bool:
    """Whether all rows are the same multiple of three or more bars apart, as of a longer timeframe.

    By chance once in 100,000 pages. Such values agree with the source's longer bars, which would prove the bars between
    them to be without trade.
    """
    return len(open_ms) >= FEWEST_APART and int(np.gcd.reduce(np.diff(open_ms))) >= 3 * step_ms


def agreed(first: CandlePage, second: CandlePage) -> CandlePage:
    """The rows that the second answer repeats."""
    ours, theirs = _common(second.candles, first.candles)
    return replace(second, candles=ours.rows(same_rows(ours, theirs)))


def _common(one: CandleFrame, other: CandleFrame) -> tuple[CandleFrame, CandleFrame]:
    """The rows of both whose bars are in either."""
    _, ours, theirs = np.intersect1d(one["open_ms"], other["open_ms"], assume_unique=True, return_indices=True)
    return one.rows(ours), other.rows(theirs)

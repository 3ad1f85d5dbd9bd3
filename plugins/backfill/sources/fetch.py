"""Request what a series lacks from one source; store each answer in its own transaction."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet

import numpy as np

from backfill.domain.answers import bar_intervals
from backfill.domain.candle_columns import CandleFrame
from backfill.domain.intervals import Interval, difference, intersection
from backfill.domain.page_plan import PlannedPage, plan_pages
from backfill.domain.silence import longest_plausible_run
from backfill.domain.timeframes import DAY_MS, HOUR_MS, Timeframe, timeframe, utc
from backfill.errors import BadPayload, ContradictoryAnswer, ExchangeError, PaginationStalled, Stopped
from backfill.sources.believe_silence import believe_silence
from backfill.sources.candle_source import CandlePage, CandleSource, PlansItsPages, refused_in, silent_in
from backfill.sources.held_times import HeldTimes, is_shifted
from backfill.sources.planned_answer import PageWalk, PlannedAnswer
from backfill.sources.prove_silence import MAX_PAGES, SilenceProof
from backfill.sources.request_budget import UNLIMITED, RunBudget
from backfill.sources.split_watch import SplitWatch
from backfill.sources.stop_request import ANSWER_GRACE_S, StopRequest
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.gap_fill_log import Requests
from backfill.storage.series import SeriesWindow, StoredPage
from backfill.storage.silences import Silence

log = logging.getLogger(__name__)

# Late fills may correct a closed bar until this long after its end.
SETTLED_AFTER_MS = 2 * HOUR_MS

LOOK_EVERY_S = 0.2

WRONG_TIMES = "WrongTimes"
# Bars that the source stops serving within this time come first.
LEAVING_MS = 2 * DAY_MS

PAGE_ERRORS = (BadPayload, PaginationStalled)


class SourceFetch:
    """One source's part in one attempt on one series.

    ``before``: the attempt's requests to other sources, for its log row.
    """

    def __init__(
        self,
        store: CandleStore,
        source: CandleSource,
        window: SeriesWindow,
        fill_run_id: int,
        before: Requests,
    ) -> None:
        self.source_id = store.source_id(source.name)
        self.requests_planned = 0
        self.requests_left = 0
        self.rows = 0
        self.errors: list[ExchangeError | PaginationStalled] = []
        self._store = store
        self._source = source
        self._window = window
        self._fill_run_id = fill_run_id
        self._timeframe: Timeframe = timeframe(window.timeframe)
        self._span = Interval(window.start_ms, window.end_ms)
        self._log = store.run_log
        self._before = before
        self._source_requests_before = source.requests_made
        self._latency_ms = 0.0
        self._outcomes: Counter[str] = Counter()
        self._exhausted: list[tuple[Interval, CandlePage]] = []
        self._watch = SplitWatch(store, window, source.name, self.source_id, self._timeframe)
        self._writes_at_once = False
        self._times = HeldTimes(store, window, self.source_id, fill_run_id, self._timeframe)
        self._kept: list[PlannedAnswer] = []  # of a series that is replaced as a whole
        self._earlier: CandleFrame | None = None
        self._silence: Silence | None = None

    @property
    def requests(self) -> int:
        return self._source.requests_made - self._source_requests_before

    @property
    def asked_so_far(self) -> Requests:
        """Requests of the whole attempt."""
        return Requests(self._before.planned + self.requests_planned, self._before.made + self.requests)

    @property
    def has_answered(self) -> bool:
        """Whether it gave candles or confirmed that there are none."""
        return self._outcomes["candles"] + self._outcomes["absent"] > 0

    def ask_for(self, askable: Sequence[Interval], pages_in_flight: int, budget: RunBudget = UNLIMITED) -> None:
        """Request ``askable``, several pages at once, and store each answer, newest first.

        ``requests_left`` counts pages beyond the budget.
        """
        known = self._store.silences.of(self._window, self.source_id)
        self._times.held = known.held
        askable = self._servable(self._with_neighbours(askable, known.doubtful))
        pages = self._in_order(
            self._source.plan(askable)
            if isinstance(self._source, PlansItsPages)
            else plan_pages(askable, self._timeframe.step_ms, self._source.rows_per_page)
        )
        walk = self._page_walk(askable, known)
        waiting = deque(pages[: budget.most_requests])
        self.requests_planned, self.requests_left = len(waiting), len(pages) - len(waiting)
        asked: deque[Future[PlannedAnswer]] = deque()
        sent: list[Interval] = []
        threads = ThreadPoolExecutor(pages_in_flight, thread_name_prefix=self._source.name)
        try:
            while waiting or asked:
                while waiting and len(asked) < pages_in_flight and not budget.is_over:
                    planned = waiting.popleft()
                    sent.append(self._asked_by(planned))
                    asked.append(threads.submit(walk.answer, planned))
                if not asked:  # no time left for the waiting pages
                    self.requests_planned -= len(waiting)
                    self.requests_left += len(waiting)
                    break
                answer = _answer_in_hand(asked.popleft(), budget.stop)
                if answer is None:
                    self.requests_left += 1
                    continue
                self._outcomes[WRONG_TIMES] += answer.refused
                if (error := self._received(answer)) and not isinstance(error, PAGE_ERRORS):
                    waiting.clear()
                elif len(self._kept) == 1:
                    waiting = self._rest_of_series(askable, sent)
                    walk = self._page_walk(askable, known)
        finally:
            threads.shutdown(wait=not budget.stop.is_asked, cancel_futures=True)
        if self._kept:
            self._replace_series()
        self._settle_exhausted()
        self._silence = believe_silence(self._store, self._window, self.source_id) if pages else known

    def prove_silence(self, max_requests: int | None) -> None:
        """Check missing bars with the source's other timeframes, within the budget."""
        left = MAX_PAGES if max_requests is None else max_requests - self.requests_planned
        proof = SilenceProof(self._store, self._source, self._window, left, self._earlier, self._silence)
        proof.run()
        self.requests_planned += proof.requests_planned

    def write_down(self) -> None:
        """Record the outcomes for the source's success rate."""
        self._outcomes.update(type(e).__name__ for e in self.errors if isinstance(e, ExchangeError))
        for outcome, answers in (+self._outcomes).items():
            rows, latency_ms = (self.rows, self._latency_ms / answers) if outcome == "candles" else (0, None)
            self._log.attempt(self._fill_run_id, self.source_id, outcome, answers, rows, latency_ms)

    def _with_neighbours(self, askable: Sequence[Interval], doubtful: Sequence[Interval]) -> list[Interval]:
        """Add bars beside a doubtful silence: they may be its rows at a wrong time."""
        most_ms = self._timeframe.step_ms * self._source.rows_per_page // 4
        most_ms -= most_ms % self._timeframe.step_ms
        beside = []
        for start, end in intersection(doubtful, askable):
            margin_ms = min(end - start, most_ms)
            beside.append(Interval(start - margin_ms, end + margin_ms))
        return difference([*askable, *intersection(beside, [self._span])], self._window.closed)

    def _page_walk(self, askable: Sequence[Interval], known: Silence) -> PageWalk:
        return PageWalk(
            self._source.name,
            lambda after_ms: self._source.ask(self._window.symbol, self._timeframe, after_ms),
            self._timeframe,
            self._source.rows_per_page,
            self._span,
            askable,
            known.given,
            longest_plausible_run(known.held, known.silent, self._timeframe.step_ms),
            self._window.closed,
            counts_forward=self._source.counts_forward,
        )

    def _asked_by(self, page: PlannedPage) -> Interval:
        page_ms = self._source.rows_per_page * self._timeframe.step_ms
        return Interval(max(page.after_ms - page_ms, self._span.start), page.after_ms)

    def _rest_of_series(self, askable: Sequence[Interval], sent: Sequence[Interval]) -> deque[PlannedPage]:
        """The pages of all that is held or asked for, beyond those asked already, whatever the run's budget."""
        kept = [*self._watch.kept, *askable]
        self._span = Interval(min(self._span.start, *(one.start for one in kept)), self._span.end)
        rest = difference(self._servable(kept), [*sent, *self._window.closed])
        pages = plan_pages(rest, self._timeframe.step_ms, self._source.rows_per_page)
        self.requests_planned, self.requests_left = len(sent) + len(pages), 0
        return deque(pages)

    def _received(self, answer: PlannedAnswer) -> ExchangeError | PaginationStalled | None:
        """Store an answer, or keep it until a split series is complete; return its error, if any."""
        error = answer.error
        try:
            if self._watch.shows_a_split(answer.pages):
                self._kept.append(answer)
            else:
                self._take_all(answer)
        except (ExchangeError, PaginationStalled) as raised:
            error = raised
        if error:
            log.warning("%s %s: %s", self._window.symbol, self._window.timeframe, error)
            self.errors.append(error)
        return error

    def _take_all(self, answer: PlannedAnswer) -> None:
        pages = [self._times.checked(page, answer.span) for page in answer.pages]
        if any(is_shifted(page) for page in pages):
            answer = answer._replace(is_clean=False)
        for page in pages:
            self._take(answer, page)

    def _replace_series(self) -> None:
        """Store all pages at the new scale in one transaction; none if one is lacking."""
        if self.errors or self.requests_left:
            log.warning("%s %s: not all of it could be read again", self._window.symbol, self._window.timeframe)
            return
        before = (self.rows, self._latency_ms, Counter(self._outcomes))

        def write() -> None:
            self.rows, self._latency_ms, self._outcomes = before[0], before[1], Counter(before[2])
            self._exhausted.clear()
            for answer in self._kept:
                self._take_all(answer)
            self.rows += self._watch.settle(self._fill_run_id)

        self._writes_at_once = True
        try:
            self._store.in_page_transaction(write)
        except (ExchangeError, PaginationStalled) as error:
            log.warning("%s %s: %s", self._window.symbol, self._window.timeframe, error)
            self.errors.append(error)
        finally:
            self._writes_at_once = False

    def _in_order(self, pages: list[PlannedPage]) -> list[PlannedPage]:
        """Pages that leave the source's reach soon, oldest first; then the others, newest first."""
        from_ms = self._source.serves_from_ms()
        leaving = [page for page in reversed(pages) if from_ms is not None and page.reach_ms < from_ms + LEAVING_MS]
        return [*leaving, *(page for page in pages if page not in leaving)]

    def _servable(self, askable: Sequence[Interval]) -> list[Interval]:
        """Bars too old for the source are not absent."""
        from_ms = self._source.serves_from_ms()
        if from_ms is None:
            return list(askable)
        return intersection(askable, [Interval(from_ms, max(from_ms, self._window.end_ms))])

    def _take(self, answer: PlannedAnswer, page: CandlePage) -> None:
        span = intersection([self._span], [answer.span])[0]
        if page.is_the_end:
            if answer.is_clean:
                self._exhausted.append((span, page))
            return
        if page.covers is None or page.newest_ms is None:
            self._write(page, page.candles, [], [])
            raise BadPayload(self._source.name, f"no row before {utc(page.after_ms):%Y-%m-%dT%H:%MZ} can be believed")
        # Other rows have pages of their own: older ones were reached past silent bars, newer ones come from sources
        # that always give their newest.
        open_ms = page.candles["open_ms"]
        is_inside = (open_ms >= span.start) & (open_ms < span.end)
        if answer.contested:
            is_inside &= ~np.isin(open_ms, list(answer.contested))
        inside = page.candles.rows(is_inside)
        if answer.is_clean and (is_earlier := open_ms < self._span.start).any():
            self._earlier = page.candles.rows(is_earlier)
        bars = bar_intervals(inside["open_ms"], self._timeframe.step_ms)
        silent = silent_in(page, span, self._timeframe) if answer.is_clean else []
        silent = difference(silent, [*answer.given, *self._window.closed])
        refused = difference(refused_in(page, span, self._timeframe), answer.given) if not answer.contested else []
        self._write(page, inside, bars, silent, refused)
        if is_shifted(page):
            self._outcomes[WRONG_TIMES] += 1
            return
        self._outcomes["candles" if page.rows else "absent"] += 1
        self._latency_ms += page.latency_ms

    def _settle_exhausted(self) -> None:
        """Accept "there is nothing older" only if nothing known contradicts it.

        After all pages are stored. One contradiction discredits all: an outage may look like an empty exchange.
        """
        for _, page in self._exhausted:
            if self._is_contradicted(page):
                self.errors.append(
                    ContradictoryAnswer(
                        self._source.name,
                        f"says that {self._window.symbol} {self._window.timeframe} has nothing before "
                        f"{utc(page.after_ms):%Y-%m-%dT%H:%MZ}, yet it must have",
                    )
                )
                return
        for span, page in self._exhausted:
            silent = difference([Interval(span.start, min(span.end, page.after_ms))], self._window.closed)
            self._write(page, page.candles, [], silent)
            self._outcomes["absent"] += 1

    def _is_contradicted(self, page: CandlePage) -> bool:
        """Whether it gave older candles before, or lacks recent ones of a live instrument."""
        if self._store.has_older_candle(self._window, self.source_id, page.after_ms):
            return True
        day_ago_ms = page.now_ms - DAY_MS
        listed_ms = self._window.list_ms
        long_listed = listed_ms is not None and listed_ms < day_ago_ms
        return self._window.state == "live" and long_listed and page.after_ms > day_ago_ms

    def _settled(self, page: CandlePage, bars: Sequence[Interval]) -> list[Interval]:
        """Those of ``bars`` that the primary source gave after they became final."""
        if self.source_id != self._window.source_ids[0]:
            return []
        settled_ms = self._timeframe.floor(page.now_ms - SETTLED_AFTER_MS)
        return intersection(bars, [Interval(self._span.start, max(self._span.start, settled_ms))])

    def _write(
        self,
        page: CandlePage,
        candles: CandleFrame,
        bars: Sequence[Interval],
        absent: Sequence[Interval],
        refused: Sequence[Interval] = (),
    ) -> None:
        quarantined = [QuarantinedRow(row.open_ms, row.rule, page.rows[row.place]) for row in page.broken]

        def write() -> StoredPage:
            stored = self._store.store_page(
                self._window,
                self.source_id,
                candles,
                bars=bars,
                absent=absent,
                settled=self._settled(page, bars),
                quarantined=quarantined,
                refused=refused,
                fill_run_id=self._fill_run_id,
            )
            self._log.count(self._fill_run_id, self._source.name, stored, self._timeframe.step_ms, self.asked_so_far)
            return stored

        stored = write() if self._writes_at_once else self._store.in_page_transaction(write)
        self.rows += stored.inserted + stored.revised
        log.info("%s", self._in_words(page, stored))

    def _in_words(self, page: CandlePage, stored: StoredPage) -> str:
        counts = {
            "inserted": stored.inserted,
            "revised": stored.revised,
            "in quarantine": stored.quarantined,
            "absent": stored.newly_absent_ms // self._timeframe.step_ms,
        }
        brought = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "nothing new"
        return (
            f"{self._window.symbol} {self._window.timeframe}: {self._source.name} gave {len(page.rows):,} rows before "
            f"{utc(page.after_ms):%Y-%m-%d %H:%M}: {brought}"
        )


def _answer_in_hand(asked: Future[PlannedAnswer], stop: StopRequest) -> PlannedAnswer | None:
    """None if the run was stopped before the answer came."""
    while True:
        try:
            return asked.result(timeout=LOOK_EVERY_S)
        except NotYet:  # noqa: PERF203
            if stop.is_over(ANSWER_GRACE_S):
                return None
        except (Stopped, CancelledError):
            return None

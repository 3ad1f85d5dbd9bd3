"""Keep the funding rates of the universe's perpetuals whole, from each one's primary source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from backfill.domain.funding import LONGEST_MS, SLACK_MS, next_due_ms, whole_spans
from backfill.domain.intervals import Interval, difference, intersection
from backfill.domain.price_kinds import TRADE, kind_of
from backfill.domain.symbols import Refusal
from backfill.domain.timeframes import MINUTE_MS, utc
from backfill.domain.venues import venue
from backfill.errors import ExchangeError, PaginationStalled
from backfill.sources.funding_source import FundingSource
from backfill.sources.listing_proof import ListingProver
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection, SeriesWindow

# Enough for years of hourly payments.
MAX_PAGES = 200
# A payment is listed a little after it was made.
LATE_MS = 10 * MINUTE_MS
# Stored payments after a page, by which its newest spacing is judged.
BESIDE = 3


@dataclass
class FundingReport:
    """Counts of a run; ``left``: a sentence per instrument with holes."""

    instruments: int = 0
    requests: int = 0
    stored: int = 0
    left: list[str] = field(default_factory=list)

    def totals(self) -> dict[str, int]:
        """The counts, ready for XCom."""
        return {
            "instruments": self.instruments,
            "requests": self.requests,
            "stored": self.stored,
            "left": len(self.left),
        }


def keep_funding(runtime: Runtime, run_id: str, at: datetime | None = None) -> FundingReport:
    """Ask for missing payments of each perpetual's declared funding history, if any, as of ``at`` (default now)."""
    report, history_ms = FundingReport(), runtime.universe.funding
    if history_ms is None:
        return report
    store = runtime.store
    now_ms = round((at or store.now()).timestamp() * 1000)
    for window in _perpetuals(store):
        (name,) = store.source_names(window.source_ids[:1])
        if venue(name).funding_rows is None:
            continue
        report.instruments += 1
        try:
            left = _keep_one(runtime, run_id, window, name, Interval(now_ms - history_ms, now_ms), report)
        except (ExchangeError, PaginationStalled) as error:
            left = str(error)
        if left:
            report.left.append(f"{window.symbol}: {left}")
    return report


def _perpetuals(store: CandleStore) -> list[SeriesWindow]:
    """One series of each instrument that trades round the clock."""
    windows: dict[str, SeriesWindow] = {}
    for window in store.windows(Selection(store.now())):
        if kind_of(window.symbol) == TRADE and not window.closed:
            windows.setdefault(window.symbol, window)
    return list(windows.values())


def _keep_one(
    runtime: Runtime, run_id: str, window: SeriesWindow, name: str, span: Interval, report: FundingReport
) -> str | None:
    """Walk back over what is not whole; return what is left, in words."""
    store, source_id = runtime.store, runtime.store.source_id(name)
    if window.list_ms is not None:
        span = Interval(max(span.start, window.list_ms), span.end)
    ledger = store.funding
    whole, newest = ledger.known(window.symbol, source_id)
    if not difference([span], [*whole, *_nothing_due(newest, span)]):
        return None
    found = ListingProver(runtime, store, window, store.health(run_id)).proved(venue(name))
    if isinstance(found, Refusal):
        return found.reason
    row = venue(name)
    ask = runtime.ask_for_funding(row, found.listing, found.market)
    source = FundingSource(name, ask, row.funding_span_ms if row.funding_from else None)
    asked: list[Interval] = []
    whole += _nothing_due(newest, span)
    while (missing := difference([span], [*whole, *asked])) and source.requests_made < MAX_PAGES:
        page = source.page(missing[-1].end)
        report.requests += 1
        if not page.events:
            asked.append(Interval(max(span.start, page.from_ms or span.start), page.before_ms))
            if window.list_ms == span.start and page.before_ms - span.start <= LONGEST_MS:
                whole += ledger.add_whole(window.symbol, source_id, asked[-1:])  # the first payment ended it
            continue
        first_ms = page.events[0].funding_ms
        asked.append(Interval(first_ms, page.before_ms))
        report.stored += ledger.store(window.symbol, source_id, page.events, [])
        # Beside an answer's edge stands what was stored before.
        times_ms = ledger.times(window.symbol, source_id, first_ms, len(page.events) + BESIDE)
        whole += ledger.add_whole(window.symbol, source_id, intersection(whole_spans(times_ms), asked))
    newest = ledger.known(window.symbol, source_id)[1]
    left = difference([span], [*whole, *_nothing_due(newest, span)])
    if left and row.lists_funding_intervals and (doubtful := intersection(left, _newest_step(newest))):
        # The interval has just become longer, if the venue says so: no payment shows that yet.
        report.requests += 1
        interval_ms = runtime.funding_interval_ms(row, found.listing, found.market)
        if newest[-1] - newest[-2] <= interval_ms + SLACK_MS:
            left = difference(left, ledger.add_whole(window.symbol, source_id, doubtful))
    return f"{len(left)} spans may lack a payment, the newest before {utc(left[-1].end):%F %R} UTC" if left else None


def _newest_step(newest: Sequence[int]) -> list[Interval]:
    return [Interval(newest[-2], newest[-1])] if len(newest) > 1 else []


def _nothing_due(newest: Sequence[int], span: Interval) -> list[Interval]:
    """Nothing is missing between the last payment and the next one due."""
    due_ms = next_due_ms(newest)
    return [] if due_ms is None or due_ms + LATE_MS <= span.end else [Interval(newest[-1], span.end)]

"""Read old bars again: what another writer changed, what findings accuse, and a page of the rolling plan.

Exchanges correct bars long after they have settled; a correction found widens the plan where it was found.
"""

from __future__ import annotations

from collections.abc import Iterator

from backfill.domain.intervals import Interval, intersection, total_ms
from backfill.domain.reread_plan import MOST_PAGES, page_before, page_every_ms, widened_pages
from backfill.domain.timeframes import DAY_MS, MINUTE_MS, utc
from backfill.domain.venues import venue
from backfill.errors import ExchangeError
from backfill.jobs.validate.validation_context import ValidationContext
from backfill.sources.candle_source import CandleSource
from backfill.sources.fetch import SETTLED_AFTER_MS
from backfill.storage.rereads import Reread, Rereads

RUN_EVERY_MS = 30 * MINUTE_MS


def reread_old(check: ValidationContext) -> None:
    """Ask the primary source again for what is due, and settle what that mends."""
    rereads = Rereads(check.store, check.window)
    due = rereads.due(check.timeframe.floor(check.at_ms - SETTLED_AFTER_MS))
    if due.touched and check.ask_primary_again(due.touched):
        check.counts["reread"] += total_ms(due.touched) // check.timeframe.step_ms
        rereads.confirm_touched()
    _walk(check, rereads, due)


def reread_stand_ins(check: ValidationContext, sources: Iterator[CandleSource | ExchangeError]) -> None:
    """Ask their own sources again for stand-ins that another writer changed."""
    rereads = Rereads(check.store, check.window)
    touched = rereads.touched_stand_ins()
    for source in sources:
        if isinstance(source, ExchangeError):
            check.tell([source])
        elif (bars := touched.get(source.name)) and check.ask_again(source, bars):
            rereads.confirm_stand_ins(bars)


def _walk(check: ValidationContext, rereads: Rereads, due: Reread) -> None:
    """Pages of the plan that are due by now, those beside found corrections first."""
    name = check.store.source_names([check.primary_id])[0]
    page_ms = venue(name).rows(check.window.timeframe) * check.timeframe.step_ms
    per_ms = min(requests / (1000 * seconds) for requests, seconds in venue(name).limits_per_period_s)
    accused_at = due.accused_at
    if due.accused and (accused_at is None or check.at_ms - accused_at.timestamp() * 1000 >= DAY_MS):
        check.ask_primary_again(due.accused[-widened_pages(RUN_EVERY_MS, due.sharers, per_ms) :])
        accused_at = utc(check.at_ms)
    done = _widened(check, rereads, due.widened, page_ms, widened_pages(RUN_EVERY_MS, due.sharers, per_ms))
    began_ms = check.at_ms if due.reread_at is None else round(due.reread_at.timestamp() * 1000)
    reread_ms = began_ms
    next_ms = due.next_ms
    if check.validation.every_ms is not None:
        pages = -(-total_ms(due.native) // page_ms)
        every_ms = page_every_ms(pages, check.validation.every_ms, due.sharers, per_ms)
        for _ in range(min(MOST_PAGES, pages, int((check.at_ms - began_ms) / every_ms))):
            page = page_before(due.native, next_ms, page_ms)
            if page is None or not _read(check, rereads, due.native, page, done):
                break
            next_ms, reread_ms = page.start, check.at_ms
    if done or due.reread_at is None or (reread_ms, accused_at) != (began_ms, due.accused_at):
        rereads.move(next_ms, reread_ms, accused_at, done)


def _widened(
    check: ValidationContext, rereads: Rereads, widened: list[Interval], page_ms: int, most: int
) -> list[Interval]:
    """Read pages beside corrections, newest first; return them."""
    done: list[Interval] = []
    for span in reversed(widened):
        end_ms = span.end
        while end_ms > span.start and len(done) < most:
            page = Interval(max(span.start, end_ms - page_ms), end_ms)
            if not _read(check, rereads, widened, page, done):
                return done
            done.append(page)
            end_ms = page.start
    return done


def _read(
    check: ValidationContext, rereads: Rereads, native: list[Interval], page: Interval, done: list[Interval]
) -> bool:
    """Ask for the held bars of one page again; whether the source answered."""
    bars = intersection(native, [page])
    before = check.counts["rows_restored"]
    if not check.ask_primary_again(bars):
        return False
    check.counts["reread"] += total_ms(bars) // check.timeframe.step_ms
    if check.counts["rows_restored"] > before:
        length_ms = page.end - page.start
        beside = Interval(page.start - length_ms, page.end + length_ms)
        rereads.widen(page, beside, [*done, page])
    return True

"""A run that ends before the next is due, and leaves the rest to it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from backfill.domain.timeframes import utc
from backfill.jobs.fill.fill_gaps import fill_gaps
from backfill.jobs.fill.fill_universe import left_for_others
from backfill.sources.request_budget import UNLIMITED, RunBudget, fair_budget
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection
from integration.exchange import WHO, PaperBlofin, assert_equals_market, fill, run_log, source_of
from integration.helpers import DAY_MS, MINUTE_MS, NOON_MS, NOW_MS, rows, wanted_series

WEEK_MS = 7 * DAY_MS
LIMITS = ((500, 60), (1500, 300))


def in_s(seconds: float) -> datetime:
    return datetime.fromtimestamp(time.time() + seconds, tz=timezone.utc)


def test_the_newest_pages_come_first_and_the_next_run_does_the_rest(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=WEEK_MS)

    first = fill(store, exchange, window, within=RunBudget(most_requests=3))

    assert (first.status, first.requests, first.requests_planned, first.requests_left) == ("partial", 3, 3, 4)
    assert first.error is None
    newest = NOON_MS - 3 * 1440 * MINUTE_MS
    assert rows(store.connection, "SELECT held FROM backfill.series")[0][0][0].lower == newest
    second = fill(store, exchange, window)
    assert (second.status, second.requests, second.requests_left) == ("complete", 4, 0)
    assert_equals_market(store, window, exchange.market)
    assert run_log(store, "requests_left") == [(4,), (0,)]


def test_nothing_is_asked_after_the_run_must_end(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=WEEK_MS)

    report = fill(store, exchange, window, within=RunBudget(until=in_s(-1)))

    assert (report.status, report.requests, report.requests_planned, report.requests_left) == ("partial", 0, 0, 7)
    assert exchange.asked == []


def test_a_run_stops_in_mid_series_with_all_that_came_stored(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=WEEK_MS)
    exchange.latency_ms = 150

    report = fill(store, exchange, window, within=RunBudget(until=in_s(0.2)), pages_in_flight=1)

    assert 0 < report.requests < 7
    assert report.requests + report.requests_left == 7
    assert report.requests == report.requests_planned
    assert report.rows_inserted == report.requests * 1440


def test_what_time_did_not_suffice_for_is_no_other_sources_business(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=WEEK_MS, sources=("blofin", "okx"))
    asked = []

    def others():  # type: ignore[no-untyped-def]
        yield source_of(exchange)
        asked.append("okx")

    fill_gaps(store, others(), window, WHO, within=RunBudget(most_requests=1))

    assert asked == []
    assert left_for_others(store, [window], WHO).windows == []


def test_symbols_share_alike_what_does_not_suffice_for_all(store: CandleStore) -> None:
    large = wanted_series(store, "BTC-USDT", history_ms=365 * DAY_MS)
    wanted_series(store, "ETH-USDT", history_ms=365 * DAY_MS)
    small = wanted_series(store, "SOL-USDT", history_ms=DAY_MS)
    which = Selection(at=utc(NOW_MS))

    def budget(window, seconds):  # type: ignore[no-untyped-def]
        return fair_budget(
            store, window, which, primary="blofin", until=in_s(seconds), limits_per_period_s=LIMITS, rows_per_page=1440
        )

    assert budget(large, 1000).most_requests is None, "it suffices"
    # 20 s are 99 requests: one is all that SOL needs, the others have 49 each
    assert budget(large, 20).most_requests == 49
    assert budget(small, 20).most_requests == 1
    assert budget(large, -10).most_requests == 0
    assert fair_budget(
        store, large, which, primary="blofin", until=None, limits_per_period_s=LIMITS, rows_per_page=1440
    ) is UNLIMITED  # fmt: skip


def test_the_timeframes_of_a_symbol_share_its_part(store: CandleStore) -> None:
    minutes = wanted_series(store, "BTC-USDT", "1m", history_ms=100 * DAY_MS)
    hours = wanted_series(store, "BTC-USDT", "1h", history_ms=100 * DAY_MS)
    wanted_series(store, "ETH-USDT", "1m", history_ms=100 * DAY_MS)
    which = Selection(at=utc(NOW_MS))
    shares = [
        fair_budget(
            store, window, which, primary="blofin", until=in_s(10.15), limits_per_period_s=LIMITS, rows_per_page=1440
        ).most_requests
        for window in (minutes, hours)
    ]
    assert shares == [23, 2], "of 50 requests BTC has 25: two for its hours, the rest for its minutes"


def test_a_deadline_far_away_costs_nothing(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=WEEK_MS)
    report = fill(store, exchange, window, within=RunBudget(until=in_s(timedelta(hours=1).total_seconds())))
    assert (report.status, report.requests) == ("complete", 7)

"""Bars are told once more by their primary source after they have settled, mostly at no extra request."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import Clock, assert_equals_market, candles_in_database, punch
from integration.fallback.conftest import MARKET, Open, Venues
from integration.fallback.fills import HOURS, native_candles, run, want
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, NOW_MS, rows, window_of
from integration.validation.validations import findings, insert_native, revisions, span_of, validate

HALF_HOUR_MS = 30 * MINUTE_MS
SETTLED_MS = NOON_MS - 2 * HOUR_MS


@pytest.fixture
def clock(venues: Venues, opened: Open) -> Clock:
    """The primary source's clock, to be moved."""
    clock = Clock(NOW_MS)
    venues.replace("blofin", opened("blofin", clock=clock))
    return clock


@pytest.fixture
def window(store: CandleStore, clock: Clock) -> SeriesWindow:
    return want(store, sources=("blofin",))


def now(store: CandleStore, clock: Clock) -> SeriesWindow:
    assert clock.now_ms is not None
    return window_of(store, "BTC-USDT", "1m", now_ms=clock.now_ms)


def test_the_ordinary_rhythm_asks_one_page_a_run_and_all_bars_settle(
    venues: Venues, store: CandleStore, clock: Clock, window: SeriesWindow
) -> None:
    run(venues, [window])
    for number in range(1, 17):
        venues.forget_counts()
        clock.now_ms = NOW_MS + number * HALF_HOUR_MS
        window = now(store, clock)
        run(venues, [window])
        (report,) = validate(venues, [window], at_ms=clock.now_ms)
        assert (venues.asked("blofin"), report.requests, report.counts.get("reread")) == (1, 0, None)

    held_from_ms = NOON_MS - HOURS * HOUR_MS
    assert span_of(store, window, "settled") == [(held_from_ms, window.end_ms - 2 * HOUR_MS)]
    assert revisions(store, window) == []


@pytest.mark.long
def test_bars_of_a_live_ingester_are_read_once_more_each_and_never_again(
    venues: Venues, store: CandleStore, clock: Clock
) -> None:
    first_ms = NOON_MS - HOURS * HOUR_MS
    window = want(store, sources=("blofin",), history_ms=2 * DAY_MS)
    insert_native(store, window._replace(start_ms=first_ms))
    reread = requests = 0
    for number in range(1, 49):
        clock.now_ms = NOW_MS + number * HALF_HOUR_MS
        grown = now(store, clock)
        insert_native(store, grown._replace(start_ms=grown.end_ms - HALF_HOUR_MS))
        (report,) = validate(venues, [grown], at_ms=clock.now_ms)
        reread += report.counts.get("reread", 0)
        requests += report.requests
    ((_, past_ms),) = span_of(store, grown, "settled")

    assert reread == (past_ms - first_ms) // MINUTE_MS, "none twice"
    assert past_ms >= grown.end_ms - 6 * HOUR_MS - HALF_HOUR_MS
    assert requests == venues.asked("blofin") <= 24 // 4 + 1
    assert revisions(store, grown) == []


def test_a_series_that_stands_still_is_read_once_more_to_its_end(
    venues: Venues, store: CandleStore, clock: Clock, window: SeriesWindow
) -> None:
    run(venues, [window])
    assert span_of(store, window, "settled") == [(window.start_ms, SETTLED_MS)]
    venues.forget_counts()
    asked = []
    for hours in (1, 3, 5, 7, 24, 72):
        clock.now_ms = NOW_MS + hours * HOUR_MS
        validate(venues, [window], at_ms=clock.now_ms)
        asked.append(venues.asked("blofin"))

    assert asked == [0, 0, 1, 1, 1, 1]
    assert span_of(store, window, "settled") == [(window.start_ms, window.end_ms)]


def test_what_the_primary_has_changed_in_a_bar_since_is_stored_and_its_former_self_kept(
    venues: Venues, store: CandleStore, clock: Clock, window: SeriesWindow
) -> None:
    insert_native(store, window)
    changed_ms = SETTLED_MS - HOUR_MS
    venues["blofin"].faults.on("revised", symbol="BTC-USDT", timeframe="1m", opens_ms={changed_ms})
    clock.now_ms = NOW_MS + HOUR_MS

    (report,) = validate(venues, [window], at_ms=clock.now_ms)

    native = {bar[0]: bar for bar in native_candles(window)}
    stored = {bar[0]: bar for bar in candles_in_database(store, window)}
    assert stored.pop(changed_ms)[4] == pytest.approx(native.pop(changed_ms)[4] * 1.001)
    assert stored == native
    assert revisions(store, window) == [(changed_ms, "provider_correction")]
    assert (report.requests, report.counts["rows_restored"]) == (1, 1)


def test_a_primary_that_cannot_be_asked_is_asked_once_and_again_by_the_next_run(
    venues: Venues, store: CandleStore, clock: Clock, window: SeriesWindow
) -> None:
    insert_native(store, window)
    clock.now_ms = NOW_MS + HOUR_MS
    venues["blofin"].faults.on("restricted")
    (report,) = validate(venues, [window], at_ms=clock.now_ms, thorough=True)
    assert venues.asked("blofin") == 1, "its coarser bars are not asked for too"
    assert len(report.notes) == len(set(report.notes))
    assert report.problems == []
    assert span_of(store, window, "settled") == []

    venues["blofin"].faults.off()
    validate(venues, [window], at_ms=clock.now_ms)
    assert span_of(store, window, "settled") == [(window.start_ms, window.end_ms - HOUR_MS)]


def test_bars_older_than_a_week_are_left_to_the_samples(venues: Venues, store: CandleStore, clock: Clock) -> None:
    old = want(store, sources=("blofin",), history_ms=10 * DAY_MS)._replace(end_ms=NOON_MS - 8 * DAY_MS)
    insert_native(store, old)

    (report,) = validate(venues, [old])

    assert (report.requests, span_of(store, old, "settled")) == (0, [])


def settled_without(window: SeriesWindow, opens_ms: Collection[int]) -> list[tuple[int, int]]:
    """The settled part of a window just filled, without single bars."""
    spans, start_ms = [], window.start_ms
    for open_ms in sorted(opens_ms):
        spans.append((start_ms, open_ms))
        start_ms = open_ms + MINUTE_MS
    return [*spans, (start_ms, SETTLED_MS)]


def test_what_is_settled_follows_whoever_changes_the_candles(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    run(venues, [window])
    deleted_ms, moved_ms = SETTLED_MS - 3 * HOUR_MS, SETTLED_MS - HOUR_MS
    punch(store, window, [deleted_ms])
    assert span_of(store, window, "settled") == settled_without(window, [deleted_ms])

    (bar,) = [bar for bar in native_candles(window) if bar[0] == deleted_ms]
    insert_native(store, window._replace(start_ms=deleted_ms, end_ms=deleted_ms + MINUTE_MS))
    assert [one for one in candles_in_database(store, window) if one[0] == deleted_ms] == [bar]
    assert span_of(store, window, "settled") == settled_without(window, [deleted_ms]), "a stranger's word"

    store.connection.execute(
        "UPDATE backfill.candles SET source_id = %s WHERE series_id = %s AND open_time = to_timestamp(%s)",
        (store.source_id("manual"), window.series_id, moved_ms // 1000),
    )
    assert span_of(store, window, "settled") == settled_without(window, [deleted_ms, moved_ms])

    punch(store, window, [deleted_ms, moved_ms])
    run(venues, [window])
    assert span_of(store, window, "settled") == [(window.start_ms, SETTLED_MS)]
    assert_equals_market(store, window, MARKET)


def test_nothing_is_settled_by_a_stand_in_nor_by_a_primary_that_was(venues: Venues, store: CandleStore) -> None:
    window = want(store)
    venues["blofin"].faults.on("error_503")
    run(venues, [window])
    assert (span_of(store, window, "settled"), len(candles_in_database(store, window))) == ([], HOURS * 60)

    venues["blofin"].faults.off()
    run(venues, [window])
    assert span_of(store, window, "settled") == [(window.start_ms, SETTLED_MS)]

    ids = [store.source_id(name) for name in ("okx", "blofin")]
    store.connection.execute("UPDATE backfill.series SET source_ids = %s WHERE id = %s", (ids, window.series_id))
    assert span_of(store, window, "settled") == []


def test_a_correction_by_hand_is_no_reason_to_ask_for_ever(
    venues: Venues, store: CandleStore, clock: Clock, window: SeriesWindow
) -> None:
    run(venues, [window])
    store.connection.execute(
        "UPDATE backfill.candles SET source_id = %s, close = high "
        "WHERE series_id = %s AND open_time = to_timestamp(%s)",
        (store.source_id("manual"), window.series_id, window.start_ms // 1000),
    )
    by_hand = candles_in_database(store, window)
    venues.forget_counts()
    asked = []
    for hours in (5, 6, 7):
        clock.now_ms = NOW_MS + hours * HOUR_MS
        validate(venues, [window], at_ms=clock.now_ms)
        asked.append(venues.asked("blofin"))

    assert asked == [1, 1, 1]
    assert candles_in_database(store, window) == by_hand
    assert rows(store.connection, "SELECT count(*) FROM backfill.revisions") == [(0,)]
    assert findings(store) == []


def test_bars_that_the_primary_denies_are_asked_for_once(
    venues: Venues, store: CandleStore, clock: Clock, window: SeriesWindow
) -> None:
    insert_native(store, window)
    denied = range(SETTLED_MS - HOUR_MS, SETTLED_MS - HOUR_MS + 5 * MINUTE_MS, MINUTE_MS)
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms=denied)
    asked = []
    for hours in (4, 8, 9, 30):
        clock.now_ms = NOW_MS + hours * HOUR_MS
        validate(venues, [window], at_ms=clock.now_ms)
        asked.append(venues.asked("blofin"))

    assert asked == [2, 2, 2, 2], "once more at the jump, since they are held"
    assert len(candles_in_database(store, window)) == HOURS * 60

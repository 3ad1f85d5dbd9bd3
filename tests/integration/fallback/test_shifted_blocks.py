"""Rows in order that stand under others' times replace no bar that is held, unless the source says so twice."""

from __future__ import annotations

import pytest

from backfill.domain.shifted_rows import OPEN_TIME_OF_ANOTHER_BAR
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import assert_equals_market, candles_in_database, punch
from integration.fallback.conftest import MARKET, Venues
from integration.fallback.fills import native_candles, run, want
from integration.helpers import HOUR_MS, MINUTE_MS, one, rows
from integration.validation.validations import revisions

CANDLES = "/api/v1/market/candles"


@pytest.fixture
def window(store: CandleStore, venues: Venues) -> SeriesWindow:
    """All of it held, but for one bar, so that the page before it is asked for again."""
    window = want(store, sources=("blofin",))
    run(venues, [window])
    punch(store, window, [window.end_ms - HOUR_MS])
    return window


def block(window: SeriesWindow, bars: int = 10) -> set[int]:
    first_ms = window.start_ms + 2 * HOUR_MS
    return set(range(first_ms, first_ms + bars * MINUTE_MS, MINUTE_MS))


def shift(venues: Venues, window: SeriesWindow, by: str) -> None:
    """The same block in each answer."""
    venues["blofin"].faults.on("block_shifted", path=CANDLES, by=by, opens_ms=block(window))


def in_quarantine(store: CandleStore) -> dict[str, int]:
    return dict(rows(store.connection, "SELECT rule, count(*) FROM backfill.quarantine GROUP BY rule"))


@pytest.mark.parametrize(("by", "proved"), [("-10bar", 10), ("10bar", 10), ("-2bar", 2)])
def test_a_shifted_block_changes_no_held_bar_and_two_clean_fills_give_the_truth(
    venues: Venues, store: CandleStore, window: SeriesWindow, by: str, proved: int
) -> None:
    shift(venues, window, by)
    (report,) = run(venues, [window])

    assert set(candles_in_database(store, window)) <= set(native_candles(window))
    assert (report.status, report.missing_after) == ("partial", 1)
    assert in_quarantine(store)[OPEN_TIME_OF_ANOTHER_BAR] == proved
    raw = "SELECT bool_and(payload->>0 = backfill.epoch_ms(open_time)::text) FROM backfill.quarantine"
    assert one(store.connection, raw)
    assert one(store.connection, "SELECT count(*) FROM backfill.source_attempts WHERE outcome = 'WrongTimes'") == 1

    venues["blofin"].faults.off()
    for _ in range(2):
        (report,) = run(venues, [window])
    assert report.status == "complete"
    assert_equals_market(store, window, MARKET)
    assert revisions(store, window) == []


def test_the_same_rows_from_another_run_are_believed_but_those_that_a_person_has_discarded(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    shift(venues, window, "-10bar")
    run(venues, [window])
    opened = [ms - 10 * MINUTE_MS for ms in sorted(block(window))]
    discard = "UPDATE backfill.quarantine SET status = 'discarded' WHERE open_time = to_timestamp(%s)"
    store.connection.execute(discard, (opened[0] // 1000,))
    (report,) = run(venues, [window])

    assert revisions(store, window) == [(ms, "provider_correction") for ms in opened[1:]]
    assert report.status == "complete"


def test_a_revision_is_taken_at_once_beside_bars_that_the_source_no_longer_has(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    changed_ms = window.start_ms + 3 * HOUR_MS
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms=block(window))
    venues["blofin"].faults.on("revised", symbol="BTC-USDT", timeframe="1m", opens_ms={changed_ms})
    run(venues, [window])

    assert revisions(store, window) == [(changed_ms, "provider_correction")]
    assert in_quarantine(store) == {}

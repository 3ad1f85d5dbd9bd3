"""A source that revises closed candles: the stored value follows, its former self is kept, nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from backfill.storage.candle_store import CandleStore
from integration.exchange import Clock
from integration.fallback.conftest import Open, Venues
from integration.fallback.fills import run, want
from integration.helpers import HOUR_MS, MINUTE_MS, NOON_MS, NOW_MS, rows, window_of
from integration.validation.validations import insert_native, validate

REVISED_MS = (NOON_MS - 3 * HOUR_MS, NOON_MS - HOUR_MS, NOON_MS - MINUTE_MS)
OPEN_MS = "backfill.epoch_ms(open_time)"
COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume", "source_id")

Stored = dict[int, tuple[Any, ...]]


@pytest.fixture
def clock(venues: Venues, opened: Open) -> Clock:
    """The primary source's clock, to be moved."""
    clock = Clock(NOW_MS)
    venues.replace("blofin", opened("blofin", clock=clock))
    return clock


def stored(store: CandleStore, table: str = "candles", prefix: str = "") -> Stored:
    """The rows of all series by open time, as bits; ``prefix``: of the columns' names."""
    columns = ", ".join([OPEN_MS, *(prefix + column for column in COLUMNS)])
    found = rows(store.connection, f"SELECT {columns} FROM backfill.{table} ORDER BY series_id, open_time")
    return {open_ms: tuple(values) for open_ms, *values in found}


def revise(venues: Venues, opens_ms: Sequence[int], fault: str = "revised") -> None:
    venues["blofin"].faults.on(fault, symbol="BTC-USDT", timeframe="1m", opens_ms=opens_ms)


def assert_only_these_changed(store: CandleStore, before: Stored, opens_ms: Sequence[int]) -> None:
    """They are 0.1 % higher at the close, what they were is a revision, and every other bar is the same in all bits."""
    after, former = stored(store), stored(store, "revisions")
    assert set(former) == set(opens_ms)
    assert former == {open_ms: before[open_ms] for open_ms in opens_ms}
    assert stored(store, "revisions", "new_") == {open_ms: after[open_ms] for open_ms in opens_ms}
    reasons = "SELECT DISTINCT reason, new_source_id = source_id, fill_run_id IS NOT NULL FROM backfill.revisions"
    assert rows(store.connection, reasons) == [("provider_correction", True, True)]
    for open_ms, (opening, high, low, close, *rest) in {ms: before[ms] for ms in opens_ms}.items():
        now = after[open_ms]
        assert now[3] == pytest.approx(close * 1.001)
        assert now[1] == pytest.approx(high * 1.001)
        assert (now[0], now[2], *now[4:]) == (opening, low, *rest)
    unchanged = {ms: bar for ms, bar in before.items() if ms not in opens_ms}
    assert {ms: after[ms] for ms in unchanged} == unchanged


def test_the_overlap_of_the_next_page_brings_what_the_source_has_revised(
    venues: Venues, store: CandleStore, clock: Clock
) -> None:
    window = want(store, sources=("blofin",))
    run(venues, [window])
    before = stored(store)
    revise(venues, REVISED_MS)
    venues.forget_counts()
    clock.now_ms = NOW_MS + 30 * MINUTE_MS

    (report,) = run(venues, [window_of(store, "BTC-USDT", "1m", now_ms=clock.now_ms)])

    assert (report.rows_inserted, report.rows_revised, venues.asked("blofin")) == (30, len(REVISED_MS), 1)
    assert_only_these_changed(store, before, REVISED_MS)


def test_bars_that_nobody_asks_for_again_are_asked_for_by_the_validation(
    venues: Venues, store: CandleStore, clock: Clock
) -> None:
    window = want(store, sources=("blofin",))
    run(venues, [window])
    before = stored(store)
    revise(venues, REVISED_MS[1:])
    clock.now_ms = NOW_MS + 6 * HOUR_MS

    (report,) = validate(venues, [window], at_ms=clock.now_ms)

    assert (report.requests, report.counts["rows_restored"]) == (1, 2)
    assert_only_these_changed(store, before, REVISED_MS[1:])


def test_what_a_live_ingester_wrote_too_early_is_corrected(venues: Venues, store: CandleStore, clock: Clock) -> None:
    window = want(store, sources=("blofin",))
    insert_native(store, window)
    before = stored(store)
    revise(venues, REVISED_MS[:1])
    clock.now_ms = NOW_MS + HOUR_MS

    validate(venues, [window], at_ms=clock.now_ms)

    assert_only_these_changed(store, before, REVISED_MS[:1])


def test_a_bar_that_is_revised_twice_leaves_both_former_selves(
    venues: Venues, store: CandleStore, clock: Clock
) -> None:
    window = want(store, sources=("blofin",))
    run(venues, [window])
    for number, fault in enumerate(("revised", "more_volume"), 1):
        venues["blofin"].faults.off()
        revise(venues, REVISED_MS[:1], fault)
        clock.now_ms = NOW_MS + number * 30 * MINUTE_MS
        run(venues, [window_of(store, "BTC-USDT", "1m", now_ms=clock.now_ms)])

    kept = rows(store.connection, "SELECT close, volume FROM backfill.revisions ORDER BY id")
    ((close, volume),) = rows(
        store.connection,
        "SELECT close, volume FROM backfill.candles WHERE open_time = to_timestamp(%s)",
        (REVISED_MS[0] // 1000,),
    )
    (first, second) = kept
    assert second == (pytest.approx(first[0] * 1.001), first[1])
    assert (close, volume) == (first[0], pytest.approx(first[1] * 1.1))


def test_a_source_that_repeats_itself_leaves_no_revision(venues: Venues, store: CandleStore, clock: Clock) -> None:
    window = want(store, sources=("blofin",))
    run(venues, [window])
    before = stored(store)
    clock.now_ms = NOW_MS + 7 * HOUR_MS

    (report,) = validate(venues, [window], at_ms=clock.now_ms, thorough=True)

    assert report.counts["reread"] == 120
    assert (stored(store), stored(store, "revisions")) == (before, {})


def test_another_series_of_the_instrument_is_left_as_it_is(venues: Venues, store: CandleStore, clock: Clock) -> None:
    minutes = want(store, sources=("blofin",))
    fives = want(store, sources=("blofin",), timeframe="5m")
    run(venues, [minutes, fives])
    sql = "SELECT * FROM backfill.candles WHERE series_id = %s ORDER BY open_time"
    before = rows(store.connection, sql, (fives.series_id,))
    revise(venues, REVISED_MS)
    clock.now_ms = NOW_MS + 30 * MINUTE_MS

    run(venues, [window_of(store, "BTC-USDT", "1m", now_ms=clock.now_ms)])

    assert rows(store.connection, sql, (fives.series_id,)) == before


def test_a_whole_page_may_be_revised(venues: Venues, store: CandleStore, clock: Clock) -> None:
    window = want(store, sources=("blofin",))
    run(venues, [window])
    before = stored(store)
    clock.now_ms = NOW_MS + 30 * MINUTE_MS
    next_window = window_of(store, "BTC-USDT", "1m", now_ms=clock.now_ms)
    still_in_it = list(range(next_window.start_ms, window.end_ms, MINUTE_MS))
    revise(venues, still_in_it)

    run(venues, [next_window])

    assert_only_these_changed(store, before, still_in_it)

"""The ledger under several writers at once: nothing is lost, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.series import SeriesWindow
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    NOON_MS,
    candles,
    foreign_rows,
    held_ms,
    insert_foreign,
    ms,
    one,
    opens,
    store_bars,
    stored_ms,
    wait_until_blocked,
    wanted_series,
    window_of,
)
from waiting import PATIENCE_S

HOUR = opens(NOON_MS - HOUR_MS, NOON_MS)
DAY = opens(NOON_MS - DAY_MS, NOON_MS)


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    window = wanted_series(store)
    store.prepare(window)
    return window


def all_at_once(*actions: Callable[[], object]) -> None:
    """Run them in threads that start together; the first error is raised."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> None:
        barrier.wait(timeout=PATIENCE_S)
        action()

    with ThreadPoolExecutor(len(actions)) as threads:
        for done in [threads.submit(run, action) for action in actions]:
            done.result(timeout=PATIENCE_S)


@contextmanager
def merges_held_up(connection: psycopg.Connection) -> Iterator[None]:
    """Within: whoever inserts candles waits at the end of the statement: rows merged, ledger not yet kept."""
    connection.execute(
        "CREATE FUNCTION backfill.hold_up() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_advisory_xact_lock(4242); RETURN NULL; END'"
    )
    connection.execute(
        "CREATE TRIGGER hold_up AFTER INSERT ON backfill.candles FOR EACH STATEMENT EXECUTE FUNCTION backfill.hold_up()"
    )
    connection.execute("SELECT pg_advisory_lock(4242)")
    yield
    connection.execute("SELECT pg_advisory_unlock(4242)")


def test_strangers_and_our_writer_share_a_series_without_losing_a_bar(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    def insert_every_fourth(first: int) -> None:
        with connect(database_uri) as stranger:
            for at in range(first, 240, 24):
                insert_foreign(stranger, foreign_rows(window.series_id, DAY[at : at + 24 : 4]))

    def store_pages() -> None:
        with CandleStore(connect(database_uri)) as own:
            for at in range(240, 480, 24):
                store_bars(own, window, candles(DAY[at : at + 24]))

    def delete_what_was_there() -> None:
        with connect(database_uri) as stranger:
            for at in range(600, 700, 5):
                stranger.execute("DELETE FROM backfill.candles WHERE open_time = %s", (utc(DAY[at]),))

    store_bars(store, window, candles(DAY[600:700]))

    all_at_once(*(lambda n=n: insert_every_fourth(n) for n in range(4)), store_pages, delete_what_was_there)

    assert stored_ms(store.connection, window) == [
        *DAY[:480],
        *(at for n, at in enumerate(DAY[600:700]) if n % 5 != 0),
    ]


def test_statements_over_two_series_in_opposite_order_do_not_block_each_other_for_ever(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    other = wanted_series(store, "ETH-USDT")

    def insert_both(first: SeriesWindow, second: SeriesWindow, share: int) -> None:
        with connect(database_uri) as stranger:
            for at in range(share, 80, 2):
                rows = [*foreign_rows(first.series_id, [DAY[at]]), *foreign_rows(second.series_id, [DAY[at]])]
                insert_foreign(stranger, rows)

    all_at_once(lambda: insert_both(window, other, 0), lambda: insert_both(other, window, 1))

    assert held_ms(store.connection, window) == held_ms(store.connection, other) == [Interval(DAY[0], DAY[80])]


def test_of_two_transactions_that_cross_one_goes_through_and_one_is_told(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    other = wanted_series(store, "ETH-USDT")
    crossed = threading.Barrier(2)
    told: list[str] = []

    def write(first: SeriesWindow, second: SeriesWindow) -> None:
        with connect(database_uri) as stranger:
            stranger.execute("SET deadlock_timeout = '20ms'")
            try:
                with stranger.transaction():
                    insert_foreign(stranger, foreign_rows(first.series_id, HOUR[:30]))
                    crossed.wait(timeout=PATIENCE_S)
                    insert_foreign(stranger, foreign_rows(second.series_id, HOUR[30:]))
            except psycopg.errors.DeadlockDetected:
                told.append(first.symbol)

    all_at_once(lambda: write(window, other), lambda: write(other, window))

    assert len(told) == 1
    assert len(stored_ms(store.connection, window)) == len(stored_ms(store.connection, other)) == 30


def test_a_bar_deleted_while_our_writer_finds_it_stored_is_not_held(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    store_bars(store, window, candles(HOUR))

    with CandleStore(connect(database_uri)) as writer, ThreadPoolExecutor(1) as thread:
        writer.prepare(window)
        with merges_held_up(store.connection):
            page = thread.submit(store_bars, writer, window, candles(HOUR))
            wait_until_blocked(store.connection)
            store.connection.execute("DELETE FROM backfill.candles WHERE open_time = %s", (utc(HOUR[30]),))
        page.result(timeout=PATIENCE_S)

    assert held_ms(store.connection, window) == [Interval(HOUR[0], HOUR[30]), Interval(HOUR[31], NOON_MS)]


def test_two_pages_of_the_same_bars_at_once_store_each_bar_once(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    inserted: list[int] = []

    def write(source: str) -> None:
        with CandleStore(connect(database_uri)) as writer:
            for at in range(0, 400, 20):
                page = store_bars(writer, window, candles(DAY[at : at + 30]), source=source)
                inserted.append(page.inserted)

    all_at_once(lambda: write("blofin"), lambda: write("blofin"))

    assert sum(inserted) == 410
    assert held_ms(store.connection, window) == [Interval(DAY[0], DAY[410])]
    assert one(store.connection, "SELECT count(*) FROM backfill.revisions") == 0


def test_many_workers_that_need_the_same_months_make_each_once(store: CandleStore, database_uri: str) -> None:
    wanted_series(store, history_ms=90 * DAY_MS)
    insert_foreign(store.connection, foreign_rows(1, opens(ms("2026-01-31T23:00"), ms("2026-02-01T01:00"))))

    def work() -> int:
        with CandleStore(connect(database_uri)) as worker:
            worker.prepare(window_of(worker, "BTC-USDT", "1m"))
            return store_bars(worker, window_of(worker, "BTC-USDT", "1m"), candles(HOUR)).inserted

    all_at_once(*[work] * 6)

    months = one(store.connection, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'backfill.candles'::regclass")
    assert months == 1 + 4  # the default; December to March
    assert one(store.connection, "SELECT count(*) FROM ONLY backfill.candles_default") == 0


def test_a_row_that_is_on_its_way_into_the_default_partition_is_waited_for(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    january = opens(ms("2026-01-15"), ms("2026-01-15T01:00"))

    with (
        connect(database_uri) as stranger,
        CandleStore(connect(database_uri)) as worker,
        ThreadPoolExecutor(1) as thread,
    ):
        with stranger.transaction():
            insert_foreign(stranger, foreign_rows(window.series_id, january))
            early = window._replace(start_ms=january[0])
            prepared = thread.submit(worker.prepare, early)
            wait_until_blocked(store.connection)
        prepared.result(timeout=PATIENCE_S)

    assert one(store.connection, "SELECT count(*) FROM backfill.candles_y2026m01") == 60

"""The run log: who is running, who has died, and what a dead run had stored."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backfill.errors import SeriesBusy
from backfill.storage.candle_store import CandleStore, StoredPage
from backfill.storage.database import connect
from backfill.storage.gap_fill_log import GapFillLog, Requests, RunIdentity
from backfill.storage.series import SERIES_LOCK, SeriesWindow
from integration.helpers import ADVISORY_LOCKS, MINUTE_MS, rows, wait_until_blocked, wanted_series
from waiting import PATIENCE_S, wait_for

WHO = RunIdentity("candles_fill_gaps", "scheduled__1", "one_symbol.fill_from_blofin", map_index=3, try_number=2)


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store)


def start(store: CandleStore, window: SeriesWindow, who: RunIdentity = WHO) -> int:
    work = store.open_work(window, store.source_id("blofin"))
    return GapFillLog(store.connection).start(who, window, work)


def logged(store: CandleStore, columns: str) -> list[tuple[Any, ...]]:
    return rows(store.connection, f"SELECT {columns} FROM backfill.gap_fill_runs ORDER BY id")


def test_a_run_is_in_the_log_from_its_start_with_all_that_is_known_by_then(
    store: CandleStore, window: SeriesWindow
) -> None:
    start(store, window)

    columns = (
        "dag_id, run_id, task_id, map_index, try_number, symbol, timeframe, status, gaps_found, missing_before, "
        "missing_after, requests_planned, coverage_before, coverage_after, finished_at, "
        "(extract(epoch FROM window_end - window_start) / 60)::int, started_at <= clock_timestamp()"
    )
    assert logged(store, columns) == [
        (
            *("candles_fill_gaps", "scheduled__1", "one_symbol.fill_from_blofin", 3, 2, "BTC-USDT", "1m", "running"),
            *(1, 1440, None, 0, 0.0, None, None, 1440, True),
        )
    ]


def test_pages_are_counted_as_they_come_and_by_source(store: CandleStore, window: SeriesWindow) -> None:
    log, run = GapFillLog(store.connection), start(store, window)

    log.count(run, "blofin", StoredPage(1440, 0, 2, 0), MINUTE_MS, Requests(1, 1))
    log.count(run, "blofin", StoredPage(100, 5, 0, 60 * MINUTE_MS), MINUTE_MS, Requests(1, 3))
    log.count(run, "okx", StoredPage(0, 0, 0, MINUTE_MS), MINUTE_MS, Requests(1, 4))
    log.count(run, "okx", StoredPage(7, 0, 0, 0), MINUTE_MS, Requests(1, 5))

    columns = "rows_inserted, rows_revised, rows_quarantined, absent_found, requests, sources, status"
    assert logged(store, columns) == [(1547, 5, 2, 61, 5, {"blofin": 1545, "okx": 7}, "running")]


def test_the_row_of_a_process_that_has_died_is_abandoned_and_keeps_its_counts(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    with CandleStore(connect(database_uri)) as victim, victim.working_on(window, 0):
        run = start(victim, window)
        GapFillLog(victim.connection).count(run, "blofin", StoredPage(9, 0, 0, 0), MINUTE_MS, Requests(1, 1))
        store.connection.execute("SELECT pg_terminate_backend(%s)", (victim.connection.info.backend_pid,))
        victim.connection.close()
    wait_for("the server to notice", lambda: rows(store.connection, ADVISORY_LOCKS) == [])

    assert GapFillLog(store.connection).abandon_dead_runs() == 1

    assert logged(store, "status, rows_inserted, error, finished_at IS NOT NULL") == [
        ("abandoned", 9, "the process ended without finishing its run", True)
    ]
    assert GapFillLog(store.connection).abandon_dead_runs() == 0


def test_a_run_whose_process_works_is_left_alone(store: CandleStore, window: SeriesWindow, database_uri: str) -> None:
    other = wanted_series(store, "ETH-USDT")
    start(store, other)  # nobody holds this one

    with CandleStore(connect(database_uri)) as worker, worker.working_on(window, 0):
        start(worker, window)
        assert GapFillLog(store.connection).abandon_dead_runs() == 1

    assert logged(store, "symbol, status") == [("ETH-USDT", "abandoned"), ("BTC-USDT", "running")]


def test_looking_for_dead_runs_holds_no_series_afterwards(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    start(store, window)
    GapFillLog(store.connection).abandon_dead_runs()

    with CandleStore(connect(database_uri)) as worker, worker.working_on(window, 0):
        pass


def test_a_run_that_finishes_at_this_moment_is_not_called_dead(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    run = start(store, window)

    with connect(database_uri) as finisher, ThreadPoolExecutor(1) as thread:
        with finisher.transaction():
            finisher.execute("UPDATE gap_fill_runs SET status = 'complete' WHERE id = %s", (run,))
            looking = thread.submit(GapFillLog(store.connection).abandon_dead_runs)
            with connect(database_uri) as onlooker:
                wait_until_blocked(onlooker)
        assert looking.result(timeout=PATIENCE_S) == 0

    assert logged(store, "status, error") == [("complete", None)]


# -- one at a time -------------------------------------------------------------------------------------------


def test_a_series_that_stays_busy_is_an_error_that_says_for_how_long_it_was_waited(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    busy = pytest.raises(SeriesBusy, match="BTC-USDT 1m is being worked on by another run")
    with CandleStore(connect(database_uri)) as worker, worker.working_on(window, 0), busy as raised:
        store.working_on(window, 0).__enter__()

    assert (raised.value.symbol, raised.value.timeframe) == ("BTC-USDT", "1m")


def test_a_series_that_gets_free_in_time_is_taken(store: CandleStore, window: SeriesWindow, database_uri: str) -> None:
    def take() -> str:
        with store.working_on(window, 10):
            return "taken"

    with ThreadPoolExecutor(1) as thread:
        with CandleStore(connect(database_uri)) as worker, worker.working_on(window, 0):
            taken = thread.submit(take)
            assert not taken.done()
        assert taken.result(timeout=PATIENCE_S) == "taken"


@pytest.mark.parametrize("ending", [ValueError("broken"), KeyboardInterrupt()])
def test_a_series_is_free_again_however_the_work_ends(
    store: CandleStore, window: SeriesWindow, database_uri: str, ending: BaseException
) -> None:
    def work(stop: Callable[[], None]) -> None:
        with store.working_on(window, 0):
            stop()

    def stop() -> None:
        raise ending

    with pytest.raises(type(ending)):
        work(stop)

    with CandleStore(connect(database_uri)) as other, other.working_on(window, 0):
        assert rows(store.connection, ADVISORY_LOCKS) == [(SERIES_LOCK, window.series_id)]

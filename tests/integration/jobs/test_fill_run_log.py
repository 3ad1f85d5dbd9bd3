"""The run log while a fill runs, when it is stopped, and when the database goes away under it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from backfill.errors import SeriesBusy
from backfill.jobs.status.report_run import report_run
from backfill.paper.protocol import Answer
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import Connection, connect
from backfill.storage.series import SeriesWindow
from integration.exchange import WHO, PaperBlofin, Question, assert_equals_market, bars_of, fill, run_log
from integration.helpers import (
    ADVISORY_LOCKS,
    DAY_MS,
    NOON_MS,
    assert_held_is_true,
    one,
    rows,
    stored_ms,
    wanted_series,
)
from waiting import PATIENCE_S, wait_for


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, history_ms=3 * DAY_MS)


@pytest.fixture
def onlooker(database_uri: str) -> Iterator[Connection]:
    with connect(database_uri) as connection:
        yield connection


class Gate:
    """Holds the exchange's answers back from the second page on, until opened."""

    def __init__(self, exchange: PaperBlofin) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        exchange.manners.misbehave = self._wait

    def _wait(self, question: Question, true: Answer) -> None:
        if question.after_ms < NOON_MS:
            self.reached.set()
            self.opened.wait(timeout=PATIENCE_S)


def status_of(connection: Connection) -> tuple[str, int, bool]:
    sql = "SELECT status, rows_inserted, finished_at IS NULL FROM backfill.gap_fill_runs ORDER BY id DESC LIMIT 1"
    ((status, inserted, unfinished),) = rows(connection, sql)
    return status, inserted, unfinished


def wait_for_answer(connection: Connection, sql: str, expected: object) -> None:
    wait_for(f"{expected} as answer to: {sql}", lambda: one(connection, sql) == expected)


def test_a_run_is_seen_as_running_with_what_it_has_stored_so_far(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin, onlooker: Connection
) -> None:
    gate = Gate(exchange)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(fill, store, exchange, window, pages_in_flight=1)
        assert gate.reached.wait(timeout=PATIENCE_S)
        wait_for_answer(onlooker, "SELECT max(rows_inserted) FROM backfill.gap_fill_runs", 1440)

        assert status_of(onlooker) == ("running", 1440, True)
        assert one(onlooker, "SELECT status FROM backfill.sync_status") == "syncing"
        assert_held_is_true(onlooker)

        gate.opened.set()
        assert running.result(timeout=PATIENCE_S).status == "complete"
    assert status_of(onlooker) == ("complete", 4320, False)


def test_a_series_that_another_run_works_on_is_waited_for_and_then_found_whole(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin, database_uri: str
) -> None:
    gate = Gate(exchange)
    with ThreadPoolExecutor(2) as threads, CandleStore(connect(database_uri)) as other:
        first = threads.submit(fill, store, exchange, window, pages_in_flight=1)
        assert gate.reached.wait(timeout=PATIENCE_S)
        with pytest.raises(SeriesBusy):
            fill(other, exchange, window, patience_s=0)
        second = threads.submit(fill, other, exchange, window, patience_s=20)
        gate.opened.set()
        assert first.result(timeout=PATIENCE_S).requests == 3
        assert second.result(timeout=PATIENCE_S).requests == 0
    assert len(exchange.asked) == 3
    assert [status for (status,) in run_log(store, "status")] == ["complete", "complete"]


def test_a_fill_that_is_interrupted_says_so_and_keeps_what_it_has(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages_before_the_interrupt = 2
    stored = CandleStore.store_page

    def interrupted(*args: object, **kwargs: object) -> object:
        nonlocal pages_before_the_interrupt
        pages_before_the_interrupt -= 1
        if pages_before_the_interrupt < 0:
            raise KeyboardInterrupt
        return stored(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as interrupting:
        interrupting.setattr(CandleStore, "store_page", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fill(store, exchange, window)

    assert run_log(store, "status, rows_inserted, missing_after, error") == [
        ("partial", 2880, 1440, "KeyboardInterrupt")
    ]
    assert fill(store, exchange, window).status == "complete"
    assert_equals_market(store, window, exchange.market)


def test_a_session_that_is_ended_in_mid_fill_is_opened_again_and_the_fill_goes_on(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin, database_uri: str
) -> None:
    gate = Gate(exchange)
    with CandleStore(connect(database_uri)) as victim, ThreadPoolExecutor(1) as thread:
        running = thread.submit(fill, victim, exchange, window, pages_in_flight=1)
        assert gate.reached.wait(timeout=PATIENCE_S)
        wait_for_answer(store.connection, "SELECT max(rows_inserted) FROM backfill.gap_fill_runs", 1440)
        store.connection.execute("SELECT pg_terminate_backend(%s)", (victim.connection.info.backend_pid,))
        gate.opened.set()
        report = running.result(timeout=PATIENCE_S)

        assert (report.status, report.rows_inserted, report.requests) == ("complete", 4320, 3)
        assert victim.connection.opens == 2
        assert rows(store.connection, ADVISORY_LOCKS) == []
    assert run_log(store, "status, rows_inserted") == [("complete", 4320)]
    assert_equals_market(store, window, exchange.market)


def test_a_series_that_another_has_taken_since_the_session_ended_is_left_to_it(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin, database_uri: str
) -> None:
    gate = Gate(exchange)
    with CandleStore(connect(database_uri)) as victim, ThreadPoolExecutor(1) as thread:
        running = thread.submit(fill, victim, exchange, window, pages_in_flight=1)
        assert gate.reached.wait(timeout=PATIENCE_S)
        wait_for_answer(store.connection, "SELECT max(rows_inserted) FROM backfill.gap_fill_runs", 1440)
        store.connection.execute("SELECT pg_terminate_backend(%s, 5000)", (victim.connection.info.backend_pid,))
        with store.working_on(window, 1):
            gate.opened.set()
            with pytest.raises(SeriesBusy, match=r"is held by session .* of role postgres"):
                running.result(timeout=PATIENCE_S)

    assert stored_ms(store.connection, window) == bars_of(window)[-1440:]
    assert run_log(store, "status, rows_inserted") == [("partial", 1440)]
    exchange.behave()
    assert fill(store, exchange, window).rows_inserted == 2880
    assert_equals_market(store, window, exchange.market)


def test_a_run_is_summed_up_by_its_last_attempts(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    other = wanted_series(store, "ETH-USDT", history_ms=DAY_MS)
    exchange.manners.misbehave = lambda question, true: Answer(500, b"")
    for series in (window, other):
        fill(store, exchange, series)
    exchange.behave()
    fill(store, exchange, window)

    summary = report_run(store, WHO.dag_id, WHO.run_id, ["BTC-USDT", "ETH-USDT", "SOL-USDT"], alert_after_hours=6)

    assert summary.totals["rows_inserted"] == 4320
    assert summary.totals["sources"] == {"blofin": 4320}
    assert (summary.totals["series"], summary.totals["missing_after"]) == (2, 1440)
    failed, unlogged = summary.failures
    assert failed.startswith("ETH-USDT 1m failed: blofin: /api/v1/market/candles: HTTP 500")
    assert unlogged == "SOL-USDT: no attempt was logged"

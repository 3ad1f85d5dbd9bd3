"""The breaker of a source: when it opens, who probes it, and what its failing raises in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from backfill.errors import AddressBanned, BadPayload, ExchangeUnreachable, GeoBlocked, RateLimited, SymbolNotListed
from backfill.jobs.status.report_run import report_run
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.source_health import SourceHealth
from integration.fallback.fills import health as breakers
from integration.fallback.fills import want
from integration.helpers import one
from waiting import wait_for

OUTAGE = ExchangeUnreachable("okx", "HTTP 503")
GEO = GeoBlocked("okx", "not served in this country (HTTP 451)")

At = Callable[[str], SourceHealth]


@pytest.fixture
def okx(store: CandleStore) -> int:
    return store.source_id("okx")


@pytest.fixture
def of_run(store: CandleStore) -> At:
    """The breakers as a run sees them; who would have to wait for a probe fails."""

    def never(_: float) -> None:
        raise AssertionError("had to wait")

    return lambda run: SourceHealth(store.connection, run, sleep=never)


def pass_time(store: CandleStore, interval: str) -> None:
    store.connection.execute(f"UPDATE backfill.source_health SET open_until = open_until - interval '{interval}'")


def open_minutes(store: CandleStore) -> float:
    sql = "SELECT extract(epoch FROM open_until - now())::double precision / 60 FROM backfill.source_health"
    return float(one(store.connection, sql))


def test_outages_open_it_at_the_third_in_a_row(store: CandleStore, okx: int, of_run: At) -> None:
    run = of_run("a")
    for _ in range(2):
        run.has_failed(okx, OUTAGE)
    run.has_answered(okx)
    for still_asked in (True, True, False):
        run.has_failed(okx, OUTAGE)
        assert run.may_ask(okx) is still_asked


def test_a_country_that_is_shut_out_opens_it_at_once_and_for_an_hour(store: CandleStore, okx: int, of_run: At) -> None:
    of_run("a").has_failed(okx, GEO)
    assert not of_run("a").may_ask(okx)
    assert open_minutes(store) == pytest.approx(60, abs=1)


@pytest.mark.parametrize(
    "error",
    [RateLimited("okx", "too many requests", 10), AddressBanned("okx", "403", 300), SymbolNotListed("okx", "X-USDT")],
)
def test_a_rate_limit_and_a_wrong_question_do_not_open_it(store: CandleStore, okx: int, of_run: At, error) -> None:  # type: ignore[no-untyped-def]
    for _ in range(5):
        of_run("a").has_failed(okx, error)
    assert of_run("a").may_ask(okx)


def test_each_run_probes_it_once_however_the_runs_take_turns(store: CandleStore, okx: int, of_run: At) -> None:
    of_run("a").has_failed(okx, GEO)
    probes = []
    for run in "bcbcabc":
        if of_run(run).may_ask(okx):
            probes.append(run)
            of_run(run).has_failed(okx, GEO)
    assert probes == ["b", "c"]


def test_a_failed_probe_doubles_the_time_up_to_the_longest(store: CandleStore, okx: int, of_run: At) -> None:
    waits = []
    for _ in range(7):
        of_run("a").has_failed(okx, GEO)
        waits.append(round(open_minutes(store) / 60))
        pass_time(store, "1 day")
        assert of_run("a").may_ask(okx)
    assert waits == [1, 2, 4, 8, 12, 12, 12]


def test_those_who_had_asked_before_it_was_found_broken_do_not_double_it(
    store: CandleStore, okx: int, of_run: At
) -> None:
    for _ in range(8):
        of_run("a").has_failed(okx, GEO)
    assert open_minutes(store) == pytest.approx(60, abs=1)


def test_a_probe_that_is_answered_closes_it_for_all(store: CandleStore, okx: int, of_run: At) -> None:
    of_run("a").has_failed(okx, GEO)
    assert of_run("b").may_ask(okx)
    of_run("b").has_answered(okx)
    assert of_run("a").may_ask(okx)
    of_run("a").has_failed(okx, BadPayload("okx", "HTML"))
    assert of_run("a").may_ask(okx)  # counted from one again


def test_one_thread_of_a_run_probes_while_the_others_wait_for_its_word(
    store: CandleStore, okx: int, database_uri: str
) -> None:
    SourceHealth(store.connection, "before").has_failed(okx, GEO)
    asked, waiting, all_there = list[int](), set[int](), threading.Barrier(4)

    def ask(number: int) -> bool:
        with connect(database_uri) as connection:

            def sleep(_seconds: float) -> None:
                waiting.add(number)
                time.sleep(0.02)

            health = SourceHealth(connection, "run", sleep=sleep)
            all_there.wait()
            if not health.may_ask(okx):
                return False
            asked.append(number)
            wait_for("the three others to wait", lambda: len(waiting) == 3)
            health.has_failed(okx, GEO)
            return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(ask, range(4))) == [False, False, False, True]
    assert len(asked) == 1


def test_a_probe_that_had_nothing_to_ask_leaves_it_to_the_next(store: CandleStore, okx: int, of_run: At) -> None:
    of_run("a").has_failed(okx, GEO)
    probe = of_run("b")
    assert probe.may_ask(okx)
    probe.release_probe(okx)
    assert of_run("b").may_ask(okx)


def test_letting_go_after_a_word_changes_nothing(store: CandleStore, okx: int, of_run: At) -> None:
    of_run("a").has_failed(okx, GEO)
    probe = of_run("b")
    assert probe.may_ask(okx)
    of_run("b").has_failed(okx, GEO)
    probe.release_probe(okx)
    assert not of_run("b").may_ask(okx)


def test_the_lease_of_a_killed_probe_runs_out(store: CandleStore, okx: int, of_run: At) -> None:
    of_run("a").has_failed(okx, GEO)
    assert of_run("b").may_ask(okx)
    assert breakers(store) == {"okx": "half_open"}
    with pytest.raises(AssertionError, match="had to wait"):
        of_run("b").may_ask(okx)
    pass_time(store, "2 minutes")
    assert of_run("b").may_ask(okx)


def test_the_alert_comes_after_the_hours_that_all_have_failed_in_and_not_before(store: CandleStore) -> None:
    want(store, sources=("blofin", "okx", "bybit", "kraken"))  # of the last nobody wants anything
    fail(store, "okx", since_h=9)
    fail(store, "bybit", since_h=5)
    assert report_run(store, "test", "run", [], alert_after_hours=6).outage is None
    fail(store, "bybit", since_h=6.5)
    outage = report_run(store, "test", "run", [], alert_after_hours=6).outage
    assert outage == "every external source has failed for 6.5 hours: okx: okx: HTTP 503; bybit: bybit: HTTP 503"


def test_one_external_source_that_works_is_enough_for_no_alert(store: CandleStore) -> None:
    want(store, sources=("blofin", "okx", "bybit"))
    fail(store, "okx", since_h=9)
    SourceHealth(store.connection, "run").has_answered(store.source_id("bybit"))
    assert report_run(store, "test", "run", [], alert_after_hours=6).outage is None


def test_one_failure_after_days_in_which_nobody_asked_is_no_outage_of_days(store: CandleStore, okx: int) -> None:
    want(store, sources=("blofin", "okx"))
    SourceHealth(store.connection, "run").has_answered(okx)
    store.connection.execute("UPDATE backfill.source_health SET last_success_at = now() - interval '9 days'")
    SourceHealth(store.connection, "run").has_failed(okx, OUTAGE)
    assert report_run(store, "test", "run", [], alert_after_hours=6).outage is None


def test_the_failing_primary_is_no_external_source(store: CandleStore) -> None:
    want(store, sources=("blofin", "okx"))
    fail(store, "blofin", since_h=9)
    assert report_run(store, "test", "run", [], alert_after_hours=6).outage is None


def fail(store: CandleStore, source: str, since_h: float) -> None:
    """The source has failed since then, and just now."""
    source_id = store.source_id(source)
    SourceHealth(store.connection, "run").has_failed(source_id, ExchangeUnreachable(source, "HTTP 503"))
    store.connection.execute(
        "UPDATE backfill.source_health SET first_failure_at = last_failure_at - %s * interval '1 hour' "
        "WHERE source_id = %s",
        (since_h, source_id),
    )

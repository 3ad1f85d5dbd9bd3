"""Sources that are blocked or broken cost few questions, a line in the report, and nobody else's candles."""

from __future__ import annotations

import logging

import pytest

from backfill.jobs.status.report_run import report_run
from backfill.storage.candle_store import CandleStore
from integration.exchange import punch
from integration.fallback.conftest import Open, Venues
from integration.fallback.fills import health, run, sources_stored, want
from integration.helpers import HOUR_MS, MINUTE_MS, one, opens, rows

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "PEPE-USDT", "SHIB-USDT")
BROKEN = ("okx", "bybit", "binanceusdm")


def test_three_broken_sources_are_three_lines_and_the_fourth_carries_on(
    store: CandleStore, venues: Venues, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """What half-announced markets do to ccxt, a CDN's page, a country that is shut out; six symbols."""
    venues.replace("okx", opened("okx", traps=["preopen"]))
    venues.options["okx"] = {"fetchMarkets": {"types": ["spot", "future", "swap", "option"]}}
    venues["bybit"].faults.on("geo_block")
    venues["binanceusdm"].faults.on("restricted")
    windows = [want(store, symbol, sources=("blofin", *BROKEN, "binance")) for symbol in SYMBOLS]
    run(venues, windows, only=["blofin"])
    for window in windows:
        punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))
    venues.forget_counts()

    reports = run(venues, [w._replace(spot_proxy=True) for w in windows], "broken", leave_out=["blofin"])

    assert [(report.status, report.sources) for report in reports] == [("complete", {"binance": 60})] * len(SYMBOLS)
    lines = report_run(store, "test", "broken", SYMBOLS, alert_after_hours=6).lines
    told = [line for line in lines if " is not asked (open): " in line]
    assert [line.split()[0] for line in told] == list(BROKEN)
    assert "TypeError" in told[0]
    assert "not served in this country (HTTP 403)" in told[1]
    assert "not served in this country (HTTP 451)" in told[2]
    assert [record for record in caplog.records if record.exc_info or "Traceback" in record.getMessage()] == []
    assert venues.asked("okx") <= 5  # one load of its markets: a question or two for each kind
    assert venues.asked("bybit") == venues.asked("binanceusdm") == 1


def test_the_next_run_probes_each_broken_source_once(store: CandleStore, venues: Venues) -> None:
    windows = [want(store, symbol, sources=("blofin", "bybit")) for symbol in SYMBOLS]
    run(venues, windows, only=["blofin"])
    for window in windows:
        punch(store, window, [window.end_ms - HOUR_MS])
    venues["bybit"].faults.on("geo_block")
    for runs in (1, 2, 3):
        assert {report.status for report in run(venues, windows, leave_out=["blofin"])} == {"failed"}
        assert venues.asked("bybit") == runs
    venues["bybit"].faults.off()
    assert {report.status for report in run(venues, windows, leave_out=["blofin"])} == {"complete"}
    assert health(store)["bybit"] == "closed"


def test_a_source_that_breaks_after_it_was_proved_is_asked_by_those_already_at_it_and_no_more(
    store: CandleStore, venues: Venues
) -> None:
    windows = [want(store, symbol, sources=("blofin", "bybit", "okx")) for symbol in SYMBOLS]
    run(venues, windows, only=["blofin"])
    for window in windows:
        punch(store, window, [window.end_ms - HOUR_MS])
    run(venues, windows, leave_out=["blofin"])
    for window in windows:
        punch(store, window, [window.end_ms - HOUR_MS])
    venues["bybit"].faults.on("geo_block")
    venues.forget_counts()

    reports = run(venues, windows, leave_out=["blofin"])

    assert [(report.status, report.sources) for report in reports] == [("complete", {"okx": 1})] * len(SYMBOLS)
    assert venues.asked("bybit") <= 4  # series are filled four at once


def test_a_probe_that_finds_nothing_to_ask_keeps_nobody_waiting(store: CandleStore, venues: Venues) -> None:
    """The broken source has denied all that is missing; else each series would wait for the lease to run out."""
    windows = [want(store, symbol, sources=("blofin", "bybit", "okx")) for symbol in SYMBOLS]
    run(venues, windows, only=["blofin"])
    for window in windows:
        punch(store, window, [window.end_ms - HOUR_MS])
        venues["bybit"].faults.on("missing", symbol=window.symbol)
    run(venues, windows, only=["bybit"])
    venues["bybit"].faults.off()
    store.connection.execute("UPDATE backfill.source_health SET state = 'open', open_until = now() + interval '1 hour'")
    venues.forget_counts()

    reports = run(venues, windows, leave_out=["blofin"])

    assert {report.status for report in reports} == {"complete"}
    assert "half_open" not in health(store).values()


def test_a_rate_limit_pauses_a_source_and_leaves_its_breaker_alone(store: CandleStore, venues: Venues) -> None:
    windows = [want(store, symbol, sources=("blofin", "bybit", "okx")) for symbol in SYMBOLS]
    run(venues, windows, only=["blofin"])
    for window in windows:
        punch(store, window, [window.end_ms - HOUR_MS])
    venues["bybit"].faults.on("limited_7s")
    venues.forget_counts()

    reports = run(venues, windows, leave_out=["blofin"])

    assert [(report.status, report.sources) for report in reports] == [("complete", {"okx": 1})] * len(SYMBOLS)
    assert venues.asked("bybit") == 1
    assert "bybit" not in health(store)
    assert one(store.connection, "SELECT count(*) FROM backfill.rate_budgets WHERE paused_until > now()") == 1


def test_a_broken_venue_is_not_asked_to_vouch_for_another(store: CandleStore, venues: Venues) -> None:
    windows = [want(store, symbol) for symbol in SYMBOLS[:4]]
    venues["bybit"].faults.on("geo_block")
    with venues.refusing("blofin"):
        reports = run(venues, windows)
    assert {report.status for report in reports} == {"complete"}
    assert venues.asked("bybit") == 1
    assert rows(store.connection, "SELECT DISTINCT proved_by FROM backfill.listings WHERE status = 'proved'") == [
        ("binanceusdm",)
    ]


def test_rows_that_are_no_candles_are_kept_as_they_came(store: CandleStore, venues: Venues) -> None:
    """A close that is missing is NaN to the frame and nothing that jsonb takes."""
    window = want(store, sources=("blofin", "okx", "bybit"))
    run(venues, [window], only=["blofin"])
    punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))
    run(venues, [window], only=["okx"])
    punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))
    venues["okx"].faults.on("no_close", symbol="BTC-USDT", opens_ms=[window.end_ms - 30 * MINUTE_MS])

    (report,) = run(venues, [window], leave_out=["blofin"])

    assert (report.status, report.sources, report.rows_quarantined) == ("complete", {"okx": 59, "bybit": 1}, 1)
    assert sources_stored(store, window) == {"blofin": 300, "okx": 59, "bybit": 1}


@pytest.fixture(autouse=True)
def all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

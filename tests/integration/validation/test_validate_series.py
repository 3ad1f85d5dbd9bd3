"""What is said of a series as a whole: coverage, what is open, and the row that tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from backfill.config.universe_model import Validation
from backfill.domain.timeframes import Timeframe, utc
from backfill.errors import DatabaseError, ExchangeError, ExchangeUnreachable
from backfill.jobs.status.report_run import report_run
from backfill.jobs.validate.validate_series import ValidationReport, validate_series
from backfill.sources.candle_source import CandlePage, CandleSource
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.database import Connection, connect
from backfill.storage.findings import Finding, FindingsLog
from backfill.storage.gap_fill_log import GapFillLog, Requests, RunIdentity
from backfill.storage.series import SeriesWindow
from integration.exchange import punch
from integration.fallback.conftest import Open, Venues
from integration.fallback.fills import run, want
from integration.helpers import (
    ADVISORY_LOCKS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    NOW_MS,
    candles,
    one,
    opens,
    rows,
    store_bars,
)
from integration.validation.test_prove_by_timeframe import QuietMarket
from integration.validation.validations import insert_native, validate
from waiting import wait_for

WHO = RunIdentity("a_dag", "a_run", "validate")
MINUTES = 360


def alone(store: CandleStore, **how: Any) -> SeriesWindow:
    return want(store, sources=("blofin",), **how)


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    """Six hours of minutes of a series that has its primary source only, written by a live ingester."""
    wanted = alone(store)
    insert_native(store, wanted)
    return wanted


def judge(store: CandleStore, window: SeriesWindow, *, at_ms: int = NOW_MS, **how: Any) -> ValidationReport:
    """One validation that can ask nobody."""
    return validate_series(store, iter(()), iter(()), window, WHO, Validation(**how), at=utc(at_ms))


def runs(store: CandleStore, columns: str) -> list[tuple[Any, ...]]:
    return rows(store.connection, f"SELECT {columns} FROM backfill.gap_fill_runs ORDER BY id")


# -- coverage --------------------------------------------------------------------------------------------------


def test_a_whole_series_is_well(store: CandleStore, window: SeriesWindow) -> None:
    report = judge(store, window)

    assert (report.problems, report.coverage_pct, report.missing) == ([], 100.0, 0)
    assert runs(store, "status, error, missing_after, validation ->> 'coverage_pct'") == [
        ("complete", None, 0, "100.0")
    ]


def test_the_worst_gaps_are_named_largest_first_and_what_to_do(store: CandleStore, window: SeriesWindow) -> None:
    for minutes, hours in ((1, 5), (7, 4), (3, 3), (2, 2)):
        punch(store, window, opens(NOON_MS - hours * HOUR_MS, NOON_MS - hours * HOUR_MS + minutes * MINUTE_MS))

    (problem,) = judge(store, window).problems

    assert "95.667 % of its bars are held, the objective is 99.9 %: 13 are missing" in problem
    assert "2026-03-10 08:00 to 2026-03-10 08:07 (7), 2026-03-10 09:00 to 2026-03-10 09:03 (3)" in problem
    assert "07:00" not in problem, "three are enough"
    assert "`backfill fill`" in problem
    assert "candles_fill_gaps" in problem


def test_a_series_has_its_own_objective(store: CandleStore, window: SeriesWindow) -> None:
    punch(store, window, [NOON_MS - 3 * HOUR_MS])

    assert judge(store, window._replace(objective_pct=99.6)).problems == []
    assert len(judge(store, window._replace(objective_pct=99.7)).problems) == 1


def test_gaps_younger_than_two_runs_are_excused(store: CandleStore, window: SeriesWindow) -> None:
    punch(store, window, opens(NOON_MS - HOUR_MS, NOON_MS))

    report = judge(store, window)
    assert (report.problems, report.coverage_pct, report.missing) == ([], 100.0, 60)
    assert runs(store, "status, error") == [("partial", None)]

    later = judge(store, window, at_ms=NOW_MS + MINUTE_MS)
    assert later.problems
    assert later.coverage_pct == pytest.approx(100 * 300 / 301)


def test_a_gap_at_the_end_of_a_span_that_ended_long_ago_is_not_young(store: CandleStore, window: SeriesWindow) -> None:
    punch(store, window, opens(NOON_MS - HOUR_MS, NOON_MS))

    report = judge(store, window, at_ms=NOW_MS + 24 * HOUR_MS)

    assert report.coverage_pct == pytest.approx(100 * 300 / MINUTES)
    assert "60 are missing" in report.problems[0]


def test_a_bar_of_an_hour_is_young_for_as_long_as_one_of_a_minute(store: CandleStore) -> None:
    hours = alone(store, timeframe="1h", history_ms=24 * HOUR_MS)
    store_bars(store, hours, candles(opens(hours.start_ms, hours.end_ms - HOUR_MS, HOUR_MS)))

    assert judge(store, hours, at_ms=NOON_MS + 59 * MINUTE_MS).problems == []
    assert judge(store, hours, at_ms=NOON_MS + 60 * MINUTE_MS).problems != []


def test_established_absences_are_no_gaps(venues: Venues, store: CandleStore, opened: Open) -> None:
    quiet = opens(NOON_MS - 3 * HOUR_MS, NOON_MS - 3 * HOUR_MS + 20 * MINUTE_MS)
    venues.replace("blofin", opened("blofin", QuietMarket(quiet)))
    window = alone(store)
    run(venues, [window])

    report = judge(store, window)

    assert (report.coverage_pct, report.problems, report.missing) == (100.0, [], 0)


def test_a_series_without_a_candle_is_not_well_and_its_empty_window_is(store: CandleStore) -> None:
    window = alone(store)

    report = judge(store, window)
    assert (report.coverage_pct, report.missing, len(report.problems)) == (0.0, MINUTES, 1)

    nothing = judge(store, window._replace(start_ms=window.end_ms))
    assert (nothing.coverage_pct, nothing.missing, nothing.problems) == (100.0, 0, [])


# -- what is open ----------------------------------------------------------------------------------------------


def test_open_findings_are_problems_and_settled_or_dismissed_ones_are_none(
    store: CandleStore, window: SeriesWindow
) -> None:
    log = FindingsLog(store.connection)
    at = NOON_MS - 3 * HOUR_MS

    def found(kind: str, start_ms: int) -> Finding:
        return Finding(kind, "disagree", window.series_id, 1, start_ms, start_ms + MINUTE_MS)

    log.record([found("timeframes", at), found("wrong_scale", at), found("wrong_scale", at + HOUR_MS)])
    log.record([found("wrong_scale", window.start_ms - HOUR_MS), found("timeframes", window.end_ms)])

    report = judge(store, window)
    assert report.open_findings == {"timeframes": 1, "wrong_scale": 2}, "those outside of the window are another's"
    assert report.problems == [
        "open findings: 1 timeframes, 2 wrong_scale; look with `backfill findings --symbols BTC-USDT`"
    ]

    store.connection.execute("UPDATE backfill.findings SET status = 'dismissed' WHERE kind = 'timeframes'")
    store.connection.execute("UPDATE backfill.findings SET status = 'settled' WHERE kind = 'wrong_scale'")
    assert judge(store, window).problems == []


def test_rows_in_quarantine_are_noted_until_decided_and_fail_no_run(store: CandleStore, window: SeriesWindow) -> None:
    inside, outside = NOON_MS - HOUR_MS, NOON_MS - 24 * HOUR_MS
    broken = [QuarantinedRow(ms, "high_is_not_highest", [ms]) for ms in (inside, outside, None)]
    store_bars(store, window, candles([]), quarantined=broken)

    said = "2 rows in quarantine; decide with `backfill quarantine list --symbols BTC-USDT`"
    report = judge(store, window)
    assert (report.quarantined, said in report.notes, report.problems) == (2, True, [])
    store.connection.execute("UPDATE backfill.quarantine SET status = 'discarded'")
    assert (judge(store, window).quarantined, said in judge(store, window).notes) == (0, False)


# -- the row ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_failure", "status"), [("warn", "partial"), ("fail", "failed")])
def test_the_row_says_what_was_found(store: CandleStore, window: SeriesWindow, on_failure: str, status: str) -> None:
    punch(store, window, [NOON_MS - 3 * HOUR_MS])

    report = judge(store, window, on_failure=on_failure)

    ((said, error, validation, missing, ended),) = runs(
        store, "status, error, validation, missing_after, finished_at IS NOT NULL"
    )
    assert (said, error, missing, ended) == (status, report.problems[0], 1, True)
    assert validation["objective_pct"] == 99.9
    assert validation["coverage_pct"] == report.coverage_pct
    assert validation["unverified"] > 0


def test_the_row_is_there_before_anybody_is_asked(database_uri: str, store: CandleStore, window: SeriesWindow) -> None:
    seen: list[tuple[Any, ...]] = []

    def others() -> Iterator[CandleSource | ExchangeError]:
        with connect(database_uri) as other:
            seen.extend(rows(other, "SELECT status, validation FROM backfill.gap_fill_runs"))
        yield from ()

    validate_series(store, iter(()), others(), window, WHO, Validation(), at=utc(NOW_MS))

    assert seen == [("running", {})]


def test_a_validation_that_is_killed_is_abandoned_and_no_failed_attempt_to_fill(
    database_uri: str, venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    who = RunIdentity("a_dag", "a_run", "fill_from_blofin")
    GapFillLog(store.connection).finish(
        GapFillLog(store.connection).start(who, window, store.open_work(window)),
        "complete",
        store.open_work(window),
        Requests(0, 0),
        error=None,
    )
    with connect(database_uri) as doomed, closing(_killing(doomed)) as others, pytest.raises(DatabaseError):
        validate_series(CandleStore(doomed), iter(()), others, window, WHO, Validation(), at=utc(NOW_MS))

    wait_for("the server to notice", lambda: rows(store.connection, ADVISORY_LOCKS) == [])
    assert GapFillLog(store.connection).abandon_dead_runs() == 1
    assert runs(store, "status, validation") == [("complete", None), ("abandoned", {})]
    (failure,) = report_run(store, "a_dag", "a_run", ["BTC-USDT"], 6).failures
    assert failure.startswith("BTC-USDT 1m abandoned: ")

    judge(store, window)
    told = report_run(store, "a_dag", "a_run", ["BTC-USDT"], 6)
    assert told.failures == []
    assert "360 unverified" in next(line for line in told.lines if line.startswith("BTC-USDT 1m complete"))


def _killing(doomed: Connection) -> Iterator[CandleSource | ExchangeError]:
    """No source at all, and the death of who asks for one."""
    doomed.close()
    yield from ()


# -- whom it asks ----------------------------------------------------------------------------------------------


def asked(venues: Venues, names: Sequence[str] = ("blofin", "okx", "bybit", "binanceusdm")) -> dict[str, int]:
    return {name: venues.asked(name) for name in names if venues.asked(name)}


def test_what_is_verified_is_not_asked_for(venues: Venues, store: CandleStore) -> None:
    window = want(store)
    run(venues, [window])
    for _ in range(6):
        validate(venues, [window])
    venues.forget_counts()

    (report,) = validate(venues, [window])

    assert (asked(venues), report.requests) == ({}, 0)


def test_an_empty_window_and_a_series_without_candles_ask_nobody(venues: Venues, store: CandleStore) -> None:
    window = want(store)

    validate(venues, [window, window._replace(start_ms=window.end_ms)], thorough=True)

    assert asked(venues) == {}


def test_a_primary_that_is_down_costs_one_failure(venues: Venues, store: CandleStore) -> None:
    window = want(store)
    run(venues, [window])
    for hours in (1, 2, 3, 4):
        spoil = (
            "UPDATE backfill.candles SET close = close * 1.02, high = high * 1.02 WHERE open_time = to_timestamp(%s)"
        )
        store.connection.execute(spoil, ((NOON_MS - hours * HOUR_MS) // 1000,))
    venues.forget_counts()
    venues["blofin"].faults.on("geo_block")

    (report,) = validate(venues, [window], every="30m", thorough=True)

    assert venues.asked("blofin") == 1
    assert report.open_findings["cross_source"] >= 4
    assert len([note for note in report.notes if note.startswith("blofin: ")]) == 1


def test_a_primary_that_is_asked_through_ccxt_is_validated_as_any_other(venues: Venues, store: CandleStore) -> None:
    window = want(store, sources=("binanceusdm", "okx"))
    lost = NOON_MS - HOUR_MS
    for name in ("binanceusdm", "okx"):
        venues[name].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms={lost})
    # Both listings need bars to be proved on.
    insert_native(store, window._replace(end_ms=lost))
    store.connection.execute("UPDATE backfill.candles SET source_id = %s", (store.source_id("binanceusdm"),))
    run(venues, [window])

    (report,) = validate(venues, [window])

    assert report.open_findings == {"lost_bars": 1}
    assert asked(venues)["binanceusdm"] > 0


class AskedForBars:
    """A source that says nothing, and remembers which bars it was asked for."""

    name = "gate"
    rows_per_page = 1000
    requests_made = 0

    def __init__(self) -> None:
        self.asked_for: list[str] = []

    def serves_from_ms(self) -> None:
        return None

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        self.asked_for.append(timeframe.name)
        raise ExchangeUnreachable(self.name, f"{symbol} before {after_ms}")


def test_a_primary_is_asked_only_for_longer_bars_that_it_publishes(store: CandleStore) -> None:
    window = want(store, sources=("gate",), timeframe="2h", history_ms=96 * HOUR_MS)
    store_bars(store, window, candles(opens(window.start_ms, window.end_ms, 2 * HOUR_MS)), source="gate")
    store.connection.execute("UPDATE backfill.series SET settled = held")
    primary = AskedForBars()

    validate_series(store, iter([primary]), iter(()), window, WHO, Validation(), at=utc(NOW_MS), thorough=True)

    assert primary.asked_for == ["8h"], "gate has no 6h"


def test_a_series_without_any_other_source_is_unverified_and_well(venues: Venues, store: CandleStore) -> None:
    window = alone(store)
    run(venues, [window])
    venues.forget_counts()

    (report,) = validate(venues, [window], on_failure="fail")

    assert (asked(venues), report.problems, report.counts["unverified"]) == ({}, [], MINUTES)
    assert report.notes == ["360 bars unverified: no other source has answered for them"]


def test_a_spot_market_is_neither_compared_nor_asked(venues: Venues, store: CandleStore) -> None:
    window = want(store, sources=("blofin", "binance"))
    store.connection.execute("UPDATE backfill.series SET spot_proxy = true")
    window = window._replace(spot_proxy=True)
    run(venues, [window])
    punch(store, window, opens(NOON_MS - 3 * HOUR_MS, NOON_MS - 2 * HOUR_MS))
    with venues.refusing("blofin"):
        (filled,) = run(venues, [window])
        assert filled.sources == {"binance": 60}
        venues.forget_counts()
        (report,) = validate(venues, [window])

    assert asked(venues, ("binance",)) == {}
    assert (report.problems, report.counts.get("compared")) == ([], None)
    statuses = "SELECT array_agg(DISTINCT status) FROM backfill.listings"
    assert one(store.connection, statuses) == ["proved"]


def test_a_spot_stand_in_is_not_compared_with_perpetuals(venues: Venues, store: CandleStore) -> None:
    window = want(store, sources=("blofin", "binance", "okx"))._replace(spot_proxy=True)
    run(venues, [window])
    punch(store, window, opens(NOON_MS - 3 * HOUR_MS, NOON_MS - 2 * HOUR_MS))
    with venues.refusing("blofin"):
        run(venues, [window], only=["binance"])
        (report,) = validate(venues, [window])

    assert report.counts["only_other"] == 60
    assert report.counts["disagree"] == 0


def test_others_go_on_reading_and_writing_while_it_asks(
    database_uri: str, venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    """It holds the series, so that no fill works on it; a live ingester and a reader are not kept waiting."""

    def others() -> Iterator[CandleSource | ExchangeError]:
        with connect(database_uri) as other:
            other.execute("SET lock_timeout = '60s'")
            punch(CandleStore(other), window, [NOON_MS - HOUR_MS])
            insert_native(
                CandleStore(other), window._replace(start_ms=NOON_MS - HOUR_MS, end_ms=NOON_MS - 59 * MINUTE_MS)
            )
            assert one(other, "SELECT count(*) FROM backfill.ohlcv") == MINUTES
        yield from ()

    report = validate_series(store, iter(()), others(), window, WHO, Validation(), at=utc(NOW_MS))

    assert report.problems == []

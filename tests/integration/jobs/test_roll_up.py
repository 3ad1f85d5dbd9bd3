"""Bars that are made of finer ones: exact, and asked of nobody; and where none are made."""

from __future__ import annotations

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.jobs.fill.plan_fill import plan_fill
from backfill.jobs.fill.roll_up import reaching_back
from backfill.paper.given_market import GivenMarket
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection
from integration.exchange import (
    PaperBlofin,
    assert_equals_market,
    bars_of,
    fill,
    punch,
)
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    NOW_MS,
    candles,
    contents,
    missing_candles,
    ms,
    store_bars,
    wanted_series,
    window_of,
)
from integration.jobs.rolled_up import (
    QUARTER_MS,
    by_source,
    fill_all,
    held_quarters,
    open_runtime,
    quarters_of,
    reaching,
    want,
)
from reference import Market

# -- what is made --------------------------------------------------------------------------------------------


def test_a_day_of_hours_is_made_of_quarters_and_nobody_is_asked(store: CandleStore, exchange: PaperBlofin) -> None:
    held_quarters(store, exchange)
    hours = want(store, "1h")

    report = fill(store, exchange, hours)

    assert (report.status, report.missing_before, report.missing_after) == ("complete", 24, 0)
    assert (report.requests, report.requests_planned, report.rows_inserted) == (0, 0, 24)
    assert report.sources == {"derived:15m": 24}
    assert exchange.asked == []
    assert_equals_market(store, hours, exchange.market)
    assert missing_candles(store, hours) == 0


def test_the_second_run_makes_nothing(store: CandleStore, exchange: PaperBlofin) -> None:
    held_quarters(store, exchange)
    hours = want(store, "1h")
    fill(store, exchange, hours)
    before = contents(store.connection)

    for recheck in (False, True):
        report = fill(store, exchange, hours, recheck=recheck)

        assert (report.requests, report.rows_inserted, report.rows_revised, report.sources) == (0, 0, 0, {})
    assert contents(store.connection) == before


def test_each_timeframe_is_made_of_the_nearest_finer_one(
    store: CandleStore, exchange: PaperBlofin, database_uri: str
) -> None:
    windows = [want(store, name, history_ms=3 * DAY_MS) for name in ("1d", "4h", "1h", "15m")]

    reports = fill_all(database_uri, exchange, windows)

    assert {report.timeframe: report.sources for report in reports} == {
        "15m": {"blofin": 336},  # twelve hours more, for the first of the days
        "1h": {"derived:15m": 84},
        "4h": {"derived:1h": 21},
        "1d": {"derived:4h": 3},
    }
    for window in windows:
        assert missing_candles(store, window) == 0
        assert_equals_market(store, reaching(window, NOON_MS - 12 * HOUR_MS - 3 * DAY_MS), exchange.market)


@pytest.mark.parametrize("hours_later", [0, 1])
@pytest.mark.parametrize(("roll_up", "requests"), [(True, [1, 4, 0, 0]), (False, [1, 5, 2, 1])])
def test_deep_history_costs_nearly_half_as_many_requests(
    store: CandleStore,
    exchange: PaperBlofin,
    database_uri: str,
    roll_up: bool,
    requests: list[int],
    hours_later: int,
) -> None:
    exchange.behave(NOW_MS + hours_later * HOUR_MS)
    names = ("15m", "1h", "4h", "1d")
    for name in names:
        want(store, name, history_ms=(14 if name == "15m" else 250) * DAY_MS, roll_up=roll_up)
    windows = [window_of(store, "BTC-USDT", name, now_ms=NOW_MS + hours_later * HOUR_MS) for name in names]

    with open_runtime(database_uri, exchange) as runtime:
        plan = plan_fill(runtime, Selection(utc(NOW_MS + hours_later * HOUR_MS)))
    reports = fill_all(database_uri, exchange, windows)

    assert [row.requests_planned for row in plan.rows] == requests
    told = {report.timeframe: report for report in reports}
    assert [told[name].requests for name in names] == requests
    assert len(exchange.asked) == sum(requests)
    assert all(report.missing_after == 0 and report.requests == report.requests_planned for report in reports)
    first_ms = windows[-1].start_ms if roll_up else NOW_MS
    for window in windows[1:]:
        assert_equals_market(store, reaching(window, first_ms), exchange.market)


def test_a_history_reaches_further_back_only_for_a_bar_that_is_missing_and_can_be_had(
    store: CandleStore, exchange: PaperBlofin, database_uri: str
) -> None:
    hours, days = want(store, "1h", history_ms=5 * DAY_MS), want(store, "1d", history_ms=5 * DAY_MS)
    young = hours._replace(list_ms=days.start_ms + MINUTE_MS)

    assert reaching_back(store, [hours, days]) == [hours._replace(start_ms=days.start_ms), days]
    assert reaching_back(store, [young, days]) == [young, days]
    assert reaching_back(store, [hours._replace(is_pruned=True), days])[0].start_ms == hours.start_ms
    assert reaching_back(store, [hours, days._replace(roll_up=False)]) == [hours, days._replace(roll_up=False)]
    fill_all(database_uri, exchange, [days])
    assert reaching_back(store, [hours, days]) == [hours, days]


def test_a_bar_that_closes_now_is_made_of_the_quarters_that_have_closed(
    store: CandleStore, exchange: PaperBlofin, database_uri: str
) -> None:
    fill_all(database_uri, exchange, [want(store, name) for name in ("15m", "1h", "4h")])
    later_ms = NOW_MS + 4 * HOUR_MS
    exchange.behave(later_ms)
    windows = [window_of(store, "BTC-USDT", name, now_ms=later_ms) for name in ("15m", "1h", "4h")]

    reports = fill_all(database_uri, exchange, windows)

    assert [(report.timeframe, report.requests, report.rows_inserted) for report in reports] == [
        ("15m", 1, 16),
        ("1h", 0, 4),
        ("4h", 0, 1),
    ]
    assert len(exchange.asked) == 1


@pytest.mark.parametrize(
    ("finer", "coarser", "bars"), [("15m", "1h", 2880), ("1h", "4h", 720), ("4h", "1d", 120), ("15m", "1d", 120)]
)
@pytest.mark.long
def test_real_bars_are_made_to_the_last_digit(
    store: CandleStore, market: Market, finer: str, coarser: str, bars: int
) -> None:
    given = GivenMarket({("BTC-USDT", name): market(f"bybit__BTC-USDT-PERP__{name}") for name in (finer, coarser)})
    end_ms = ms("2024-07-01")
    with PaperBlofin(given, now_ms=end_ms + HOUR_MS) as exchange:
        for name in (finer, coarser):
            wanted_series(store, timeframe=name, history_ms=120 * DAY_MS, now_ms=end_ms)
        store.connection.execute("UPDATE backfill.series SET roll_up = true")
        fill(store, exchange, window_of(store, "BTC-USDT", finer, now_ms=end_ms))
        exchange.behave(end_ms + HOUR_MS)
        window = window_of(store, "BTC-USDT", coarser, now_ms=end_ms)

        report = fill(store, exchange, window)

        assert report.sources == {f"derived:{finer}": bars}
        assert exchange.asked == []
        assert_equals_market(store, window, given)


# -- what is not made ----------------------------------------------------------------------------------------


def test_switched_off_a_series_is_asked_for(store: CandleStore, exchange: PaperBlofin) -> None:
    held_quarters(store, exchange)
    hours = want(store, "1h", roll_up=False)

    report = fill(store, exchange, hours)

    assert (report.requests, report.sources) == (1, {"blofin": 24})


@pytest.mark.parametrize("from_another", [1, 4])
def test_bars_of_another_source_make_none(store: CandleStore, exchange: PaperBlofin, from_another: int) -> None:
    two = {"sources": ("blofin", "okx")}
    quarters = held_quarters(store, exchange, **two)
    hour_ms = NOON_MS - 5 * HOUR_MS
    punch(store, quarters, quarters_of(hour_ms)[:from_another])
    store_bars(store, quarters, candles(quarters_of(hour_ms)[:from_another]), source="okx")
    hours = want(store, "1h", **two)

    report = fill(store, exchange, hours)

    # The primary source is asked for that hour; its page brings the older ones too.
    assert (report.requests, report.rows_inserted, report.rows_revised) == (1, 24, 19)
    assert by_source(store, hours) == {"blofin": 20, "derived:15m": 4}
    assert_equals_market(store, hours, exchange.market)


def test_bars_written_by_hand_make_none(store: CandleStore, exchange: PaperBlofin) -> None:
    quarters = held_quarters(store, exchange)
    store.connection.execute(
        "UPDATE backfill.candles SET source_id = %s WHERE open_time = %s",
        (store.source_id("manual"), utc(NOON_MS - 5 * HOUR_MS)),
    )
    assert by_source(store, quarters) == {"blofin": 95, "manual": 1}

    assert fill(store, exchange, want(store, "1h")).requests == 1


def test_finer_bars_of_another_primary_make_none(store: CandleStore, exchange: PaperBlofin) -> None:
    quarters = want(store, "15m", sources=("okx", "blofin"))
    store_bars(store, quarters, candles(bars_of(quarters)), source="okx")

    assert fill(store, exchange, want(store, "1h")).sources == {"blofin": 24}


def test_an_hour_with_a_hole_is_asked_for(store: CandleStore, exchange: PaperBlofin) -> None:
    quarters = held_quarters(store, exchange)
    hour_ms = NOON_MS - 5 * HOUR_MS
    punch(store, quarters, [hour_ms + QUARTER_MS])
    hours = want(store, "1h")

    report = fill(store, exchange, hours)

    assert (report.requests, report.missing_after) == (1, 0)
    assert report.sources == {"derived:15m": 23, "blofin": 20}
    assert_equals_market(store, hours, exchange.market)


def test_a_denied_bar_is_a_hole_until_it_is_proved_that_nobody_traded(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    quarters = held_quarters(store, exchange)
    hour_ms = NOON_MS - 5 * HOUR_MS
    punch(store, quarters, [hour_ms])
    denied = [Interval(hour_ms, hour_ms + QUARTER_MS)]
    store_bars(store, quarters, candles([hour_ms + HOUR_MS]), absent=denied)
    assert missing_candles(store, quarters) == 0
    hours = want(store, "1h")._replace(start_ms=hour_ms, end_ms=hour_ms + HOUR_MS)
    asked = fill(store, exchange, hours)
    punch(store, hours, [hour_ms])

    store.connection.execute(
        "UPDATE backfill.series SET no_trade = %s::int8multirange WHERE id = %s",
        (f"{{[{hour_ms},{hour_ms + QUARTER_MS})}}", quarters.series_id),
    )
    made = fill(store, exchange, hours)

    assert (asked.requests, asked.sources) == (1, {"blofin": 1})
    assert (made.requests, made.sources) == (0, {"derived:15m": 1})

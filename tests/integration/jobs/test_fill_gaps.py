"""Filling one series from an exchange that behaves: what is asked, what is stored, what is known to be absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain

import pytest

from backfill.domain.intervals import Interval
from backfill.paper.protocol import Answer
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import (
    PaperBlofin,
    Question,
    assert_equals_market,
    bars_of,
    candles_in_database,
    candles_in_market,
    data_of,
    fill,
    punch,
    run_log,
    saying,
)
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    NOW_MS,
    foreign_rows,
    held_ms,
    insert_foreign,
    missing_candles,
    one,
    rows,
    stored_ms,
    wanted_series,
    window_of,
)

WEEK_MS = 7 * DAY_MS


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, history_ms=WEEK_MS)


# -- from empty, and again -----------------------------------------------------------------------------------


def test_an_empty_series_is_filled_with_the_fewest_requests_and_equals_the_market(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    report = fill(store, exchange, window)

    assert_equals_market(store, window, exchange.market)
    assert (report.status, report.rows_inserted, report.missing_after) == ("complete", 10_080, 0)
    assert report.requests == report.requests_planned == len(exchange.asked) == 7
    assert {question.after_ms for question in exchange.asked} == set(range(NOON_MS, NOON_MS - WEEK_MS, -DAY_MS))
    assert {question.limit for question in exchange.asked} == {1440}
    assert (report.coverage_before, report.coverage_after, report.sources) == (0.0, 100.0, {"blofin": 10_080})


def test_a_second_run_asks_nobody_and_changes_nothing(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    fill(store, exchange, window)
    exchange.behave()

    report = fill(store, exchange, window)

    assert (report.status, report.rows_inserted, report.rows_revised, report.requests) == ("complete", 0, 0, 0)
    assert exchange.asked == []


@pytest.mark.parametrize(
    ("timeframe", "history_ms", "bars"),
    [
        ("3m", 2 * DAY_MS, 960),
        ("1h", 90 * DAY_MS, 2160),
        ("6h", 30 * DAY_MS, 120),
        ("12h", 30 * DAY_MS, 60),
        ("1d", 400 * DAY_MS, 400),
        ("1w", 70 * DAY_MS, 10),
    ],
)
def test_higher_timeframes_equal_the_market_on_their_own_grids(
    store: CandleStore, exchange: PaperBlofin, timeframe: str, history_ms: int, bars: int
) -> None:
    window = wanted_series(store, "ETH-USDT", timeframe, history_ms=history_ms)

    report = fill(store, exchange, window)

    assert (report.status, report.rows_inserted) == ("complete", bars)
    assert report.requests == report.requests_planned == -(-bars // 1440)
    assert_equals_market(store, window, exchange.market)


@pytest.mark.parametrize("pages_in_flight", [1, 2, 16])
def test_how_many_pages_are_in_flight_makes_no_difference_to_the_end(
    store: CandleStore, exchange: PaperBlofin, pages_in_flight: int
) -> None:
    window = wanted_series(store, history_ms=3 * DAY_MS)
    exchange.latency_ms = 5

    report = fill(store, exchange, window, pages_in_flight=pages_in_flight)

    assert report.requests == 3
    assert_equals_market(store, window, exchange.market)


def test_small_pages_are_planned_as_such(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=DAY_MS)

    report = fill(store, exchange, window, rows_per_page=500)

    assert report.requests == report.requests_planned == 3
    assert_equals_market(store, window, exchange.market)


# -- holes ---------------------------------------------------------------------------------------------------

HOLES: dict[str, tuple[Callable[[list[int]], list[int]], int]] = {
    "one bar": (lambda bars: bars[5000:5001], 1),
    "the newest bar": (lambda bars: bars[-1:], 1),
    "the oldest bar": (lambda bars: bars[:1], 1),
    "the newest and the oldest bar": (lambda bars: [bars[0], bars[-1]], 2),
    "a range": (lambda bars: bars[3000:3100], 1),
    "a whole day": (lambda bars: bars[1440:2880], 1),
    "a day and a bar": (lambda bars: bars[1440:2881], 2),
    "every second bar of a day": (lambda bars: bars[4000:5440:2], 1),
    "bars less than a page apart": (lambda bars: [bars[100], bars[700], bars[1539]], 1),
    "bars a page apart": (lambda bars: [bars[100], bars[1540]], 2),
    "a bar of each day": (lambda bars: bars[720::1440], 7),
    "all but one bar": (lambda bars: bars[:6000] + bars[6001:], 7),
    "everything": (lambda bars: bars, 7),
}


@pytest.mark.parametrize("name", HOLES)
def test_punched_holes_are_restored_exactly_with_the_fewest_requests(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin, name: str
) -> None:
    choose, fewest_requests = HOLES[name]
    fill(store, exchange, window)
    punched = choose(bars_of(window))
    punch(store, window, punched)
    assert missing_candles(store, window) == len(punched)
    exchange.behave()

    report = fill(store, exchange, window)

    assert_equals_market(store, window, exchange.market)
    assert (report.rows_inserted, report.rows_revised, report.missing_before) == (len(punched), 0, len(punched))
    assert report.requests == report.requests_planned == len(exchange.asked) == fewest_requests


def test_the_newest_gap_is_asked_for_first(store: CandleStore, window: SeriesWindow, exchange: PaperBlofin) -> None:
    fill(store, exchange, window)
    bars = bars_of(window)
    punch(store, window, [bars[100], bars[4000], bars[9000]])
    exchange.behave()

    fill(store, exchange, window, pages_in_flight=1)

    assert [question.after_ms for question in exchange.asked] == [bars[9001], bars[4001], bars[101]]


def test_a_correction_that_a_page_happens_to_bring_is_taken_at_no_extra_request(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    fill(store, exchange, window)
    bars = bars_of(window)
    punch(store, window, [bars[5000]])
    store.connection.execute(
        "UPDATE backfill.candles SET high = high * 2 WHERE open_time = to_timestamp(%s / 1000.0)", (bars[4990],)
    )

    report = fill(store, exchange, window)

    assert (report.rows_inserted, report.rows_revised, report.requests) == (1, 1, 1)
    assert_equals_market(store, window, exchange.market)
    assert rows(store.connection, "SELECT reason, fill_run_id FROM backfill.revisions") == [("provider_correction", 2)]


# -- foreign rows --------------------------------------------------------------------------------------------


def test_bars_that_a_stranger_stored_are_not_asked_for(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    bars = bars_of(window)
    feed = store.source_id("feed")
    for day in range(1, 7):
        part = bars[day * 1440 : (day + 1) * 1440]
        insert_foreign(store.connection, foreign_rows(window.series_id, part, feed))

    report = fill(store, exchange, window)

    assert (report.requests, report.rows_inserted, report.missing_before) == (1, 1440, 1440)
    assert exchange.asked[0].after_ms == bars[1440]
    assert one(store.connection, "SELECT count(*) FROM backfill.candles WHERE source_id = %s", (feed,)) == 6 * 1440


def test_a_series_that_a_stranger_has_made_whole_costs_no_request(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=DAY_MS)
    insert_foreign(store.connection, foreign_rows(window.series_id, bars_of(window)))

    report = fill(store, exchange, window)

    assert (report.status, report.requests, exchange.asked) == ("complete", 0, [])


# -- running bars --------------------------------------------------------------------------------------------


def test_a_bar_is_stored_only_once_the_exchange_says_that_it_is_over(store: CandleStore, exchange: PaperBlofin) -> None:
    """Our clock is two minutes ahead of the exchange's, so the window asks for bars that are still to come."""
    wanted_series(store, history_ms=HOUR_MS)
    ahead = window_of(store, "BTC-USDT", "1m", now_ms=NOW_MS + 2 * MINUTE_MS)

    first = fill(store, exchange, ahead)

    assert stored_ms(store.connection, ahead) == bars_of(ahead)[:-2]
    assert (first.status, first.missing_after, first.absent_found) == ("partial", 2, 0)
    exchange.time.now_ms = NOON_MS + MINUTE_MS + 4999  # over, not settled
    assert fill(store, exchange, ahead).rows_inserted == 0
    exchange.time.now_ms = NOON_MS + 3 * MINUTE_MS
    assert fill(store, exchange, ahead).rows_inserted == 2
    assert_equals_market(store, ahead, exchange.market)


def test_the_running_day_is_left_out_and_comes_whole_when_it_is_over(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, timeframe="1d", history_ms=10 * DAY_MS)
    assert fill(store, exchange, window).rows_inserted == 10
    tomorrow = NOW_MS + DAY_MS
    exchange.behave(tomorrow)
    later = window_of(store, "BTC-USDT", "1d", now_ms=tomorrow)

    assert fill(store, exchange, later).rows_inserted == 1

    whole = candles_in_market(exchange.market, later)
    assert candles_in_database(store, later)[1:] == whole


# -- where history ends --------------------------------------------------------------------------------------


def test_a_young_instrument_is_asked_for_from_its_listing_on(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, "YOUNG-USDT", history_ms=WEEK_MS, list_ms=NOW_MS - 6 * HOUR_MS, state="live")

    report = fill(store, exchange, window)

    assert (report.status, report.requests_planned, report.requests) == ("complete", 1, 1)
    assert report.rows_inserted == 6 * 60  # with the minute in which it was listed
    assert_equals_market(store, window, exchange.market)


@pytest.mark.parametrize("list_ms", [None, NOW_MS - 3 * DAY_MS])
def test_where_the_listing_time_is_unknown_or_wrong_an_empty_page_proves_the_start(
    store: CandleStore, exchange: PaperBlofin, list_ms: int | None
) -> None:
    window = wanted_series(store, "YOUNG-USDT", history_ms=WEEK_MS, list_ms=list_ms)

    first = fill(store, exchange, window)

    assert (first.status, first.missing_after) == ("complete", 0)
    assert first.absent_found == (window.end_ms - window.start_ms) // MINUTE_MS - 360
    assert first.coverage_after == 100.0
    assert_equals_market(store, window, exchange.market)
    exchange.behave()
    assert fill(store, exchange, window).requests == 0


def test_a_gap_below_older_candles_of_the_source_is_not_believed_to_be_its_start(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    fill(store, exchange, window)
    bars = bars_of(window)
    punch(store, window, bars[4000:4100])
    exchange.manners.misbehave = lambda question, true: saying([])

    report = fill(store, exchange, window)

    assert (report.status, report.missing_after, report.absent_found) == ("failed", 100, 0)
    assert type(report.cause).__name__ == "ContradictoryAnswer"
    assert one(store.connection, "SELECT count(*) FROM backfill.absences") == 0
    exchange.behave()
    assert fill(store, exchange, window).status == "complete"


def test_an_exchange_that_says_nothing_of_a_live_instrument_contradicts_itself(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    """An outage behind a friendly face: status 200, code 0, no rows, for every page of the week."""
    window = wanted_series(store, history_ms=WEEK_MS, list_ms=NOW_MS - 900 * DAY_MS, state="live")
    exchange.manners.misbehave = lambda question, true: saying([])

    report = fill(store, exchange, window)

    assert (report.status, report.missing_after, report.absent_found) == ("failed", 10_080, 0)
    assert type(report.cause).__name__ == "ContradictoryAnswer"
    assert one(store.connection, "SELECT count(*) FROM backfill.absences") == 0
    exchange.behave()
    assert fill(store, exchange, window).status == "complete"
    assert_equals_market(store, window, exchange.market)


# -- minutes without a trade ---------------------------------------------------------------------------------


@pytest.fixture
def quiet_exchange() -> Iterator[PaperBlofin]:
    """Leaves out the bars in which nobody traded, a third of all."""
    with PaperBlofin(SyntheticMarket(quiet_share=0.3, quiet_bars="absent")) as quiet:
        yield quiet


def test_minutes_without_a_trade_are_absent_and_not_asked_for_again(
    store: CandleStore, quiet_exchange: PaperBlofin
) -> None:
    window = wanted_series(store, history_ms=2 * DAY_MS)
    quiet_exchange.time.now_ms += 10 * MINUTE_MS  # long enough for a late bar

    first = fill(store, quiet_exchange, window)

    assert (first.status, first.coverage_after) == ("complete", 100.0)
    assert first.absent_found == 2880 - first.rows_inserted > 500
    assert_equals_market(store, window, quiet_exchange.market)
    quiet_exchange.behave()
    assert fill(store, quiet_exchange, window).requests == 0
    assert quiet_exchange.asked == []


def test_with_recheck_the_absent_bars_are_asked_for_again_and_found_if_they_have_come(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    window = wanted_series(store, history_ms=DAY_MS)
    lost = set(bars_of(window)[300:310])
    exchange.manners.misbehave = lambda question, true: saying([r for r in data_of(true) if int(r[0]) not in lost])
    assert fill(store, exchange, window).absent_found == 10
    assert fill(store, exchange, window, recheck=True).rows_inserted == 0
    exchange.behave()

    report = fill(store, exchange, window, recheck=True)

    assert (report.rows_inserted, report.requests) == (10, 1)
    assert one(store.connection, "SELECT count(*) FROM backfill.absences") == 0
    assert_equals_market(store, window, exchange.market)


def test_the_lack_of_the_newest_bars_proves_nothing_while_they_may_be_late(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    window = wanted_series(store, history_ms=DAY_MS)
    cut = NOON_MS - 20 * MINUTE_MS
    exchange.manners.misbehave = lambda question, true: saying([r for r in data_of(true) if int(r[0]) < cut])

    report = fill(store, exchange, window)

    assert (report.status, report.missing_after) == ("partial", 20)
    assert report.absent_found == 10  # doubtful: those that closed more than ten minutes ago
    exchange.behave()
    assert fill(store, exchange, window).rows_inserted == 20  # the page brings the others along


# -- servers with ways of their own --------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [100, 300])
def test_a_server_that_gives_shorter_pages_than_it_is_asked_for_is_walked_to_the_end(
    store: CandleStore, exchange: PaperBlofin, cap: int
) -> None:
    window = wanted_series(store, history_ms=3 * DAY_MS)
    exchange.manners.misbehave = lambda question, true: saying(data_of(true)[:cap])

    report = fill(store, exchange, window)

    assert (report.status, report.absent_found) == ("complete", 0)
    assert (report.requests_planned, report.requests) == (3, 3 * -(-1440 // cap))
    assert_equals_market(store, window, exchange.market)


def test_a_server_that_gives_longer_pages_than_it_is_asked_for_is_taken_at_its_word(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    window = wanted_series(store, history_ms=DAY_MS)
    market = exchange.market

    def everything(question: Question, true: Answer) -> Answer:
        whole = market.candles("BTC-USDT", "1m", window.start_ms - DAY_MS, window.end_ms)
        return saying([[str(v) for v in (*b[:6], b[5], b[6], 1)] for b in whole[::-1].tolist()])

    exchange.manners.misbehave = everything

    assert fill(store, exchange, window, rows_per_page=200).status == "complete"
    assert_equals_market(store, window, market)


def test_rows_in_no_order_are_not_believed(store: CandleStore, exchange: PaperBlofin) -> None:
    """Blofin documents one, so a row out of it has a wrong time, and here it could be any."""
    window = wanted_series(store, history_ms=2 * DAY_MS)

    def shuffled(question: Question, true: Answer) -> Answer:
        data = data_of(true)
        return saying([*data[1::2], *reversed(data[::2])])

    exchange.manners.misbehave = shuffled

    report = fill(store, exchange, window)

    assert (report.status, report.rows_inserted, report.absent_found, report.requests) == ("failed", 0, 0, 4)
    exchange.behave()
    assert fill(store, exchange, window).requests == 2
    assert_equals_market(store, window, exchange.market)


def test_a_server_that_ignores_the_cursor_stalls_and_loses_nothing(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    newest: list[bytes] = []

    def always_the_newest(question: Question, true: Answer) -> Answer:
        newest.append(true.body)
        return saying(json.loads(newest[0])["data"])

    exchange.manners.misbehave = always_the_newest

    report = fill(store, exchange, window, pages_in_flight=1)

    assert (report.status, report.rows_inserted, report.absent_found) == ("partial", 1440, 0)
    assert type(report.cause).__name__ == "PaginationStalled"
    assert held_ms(store.connection, window) == [Interval(NOON_MS - DAY_MS, NOON_MS)]
    (told,) = chain.from_iterable(run_log(store, "error"))
    assert "asked for candles older than" in told
    exchange.behave()
    assert fill(store, exchange, window).status == "complete"
    assert_equals_market(store, window, exchange.market)

"""An exchange that answers wrongly in the middle of a run: what came before stays, what is wrong is kept apart, and
the next run, with the exchange well again, ends complete.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backfill.paper.protocol import Answer
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import (
    Misbehaviour,
    PaperBlofin,
    Question,
    assert_equals_market,
    bars_of,
    data_of,
    fill,
    run_log,
    saying,
)
from integration.helpers import DAY_MS, MINUTE_MS, NOON_MS, one, rows, stored_ms, wanted_series

pytestmark = pytest.mark.long

HTML = Answer(200, b"<html><body>Please log in to the guest network</body></html>", media_type="text/html")


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    """Three pages of minutes."""
    return wanted_series(store, history_ms=3 * DAY_MS)


def in_the_middle(wrong: Callable[[Answer], Answer]) -> Misbehaviour:
    """The second of three pages is answered wrongly, however often it is asked for."""

    def misbehave(question: Question, true: Answer) -> Answer | None:
        return wrong(true) if question.after_ms == NOON_MS - DAY_MS else None

    return misbehave


def always(answer: Answer) -> Callable[[Answer], Answer]:
    return lambda true: answer


def with_rows(change: Callable[[list[list[Any]]], Any]) -> Callable[[Answer], Answer]:
    """The true rows, newest first, as ``change`` leaves or returns them."""

    def wrong(true: Answer) -> Answer:
        data = data_of(true)
        changed = change(data)
        return saying(data if changed is None else changed)

    return wrong


# -- answers that are no answers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "tries"),
    [
        pytest.param(always(HTML), "BadPayload", 3, id="HTML with status 200"),
        pytest.param(lambda true: Answer(200, true.body[:-9]), "BadPayload", 3, id="truncated JSON"),
        pytest.param(always(Answer(200, b"")), "BadPayload", 3, id="an empty body"),
        pytest.param(always(Answer(200, b"[1, 2]")), "BadPayload", 3, id="JSON without the envelope"),
        pytest.param(always(Answer(200, b'{"code": "0", "msg": "success"}')), "BadPayload", 3, id="no data"),
        pytest.param(always(saying({"rows": []})), "BadPayload", 3, id="data of another type"),
        pytest.param(always(saying(None)), "BadPayload", 3, id="data that is null"),
        pytest.param(lambda true: Answer(200, true.body.replace(b'"1"]', b"NaN]")), "BadPayload", 3, id="NaN in JSON"),
        pytest.param(always(saying(["row", 7, None, {}, [], [[]]])), "BadPayload", 2, id="rows that are none"),
        pytest.param(always(Answer(500, b"oops")), "ExchangeUnreachable", 3, id="HTTP 500"),
        pytest.param(always(Answer(503, HTML.body)), "ExchangeUnreachable", 3, id="HTTP 503"),
        pytest.param(
            always(Answer(200, b'{"code":"152002","msg":"Parameter limit error."}')), "RequestRefused", 1, id="refused"
        ),
        pytest.param(always(Answer(404, b"nothing here")), "RequestRefused", 1, id="HTTP 404"),
        pytest.param(always(Answer(451, b"no")), "GeoBlocked", 1, id="HTTP 451"),
        pytest.param(
            always(Answer(200, b'{"code":"152014","msg":"Instrument ID does not exist"}')),
            "SymbolNotListed",
            1,
            id="gone",
        ),
    ],
)
def test_an_answer_that_is_none_is_an_error_and_no_absence(
    store: CandleStore,
    window: SeriesWindow,
    exchange: PaperBlofin,
    wrong: Callable[[Answer], Answer],
    error: str,
    tries: int,
) -> None:
    exchange.manners.misbehave = in_the_middle(wrong)

    report = fill(store, exchange, window, pages_in_flight=1)

    assert (report.status, type(report.cause).__name__) == ("partial", error)
    assert sum(question.after_ms == NOON_MS - DAY_MS for question in exchange.asked) == tries
    assert report.missing_after == 3 * 1440 - report.rows_inserted > 0
    assert stored_ms(store.connection, window)[-1440:] == bars_of(window)[-1440:]  # what came before
    assert one(store.connection, "SELECT count(*) FROM backfill.absences") == 0
    ((status, told, missing, finished),) = run_log(store, "status, error, missing_after, finished_at IS NOT NULL")
    assert (status, missing, finished) == ("partial", report.missing_after, True)
    assert told.startswith("blofin: ")
    attempts = dict(rows(store.connection, "SELECT outcome, rows FROM backfill.source_attempts"))
    asked_whole_again = {"WrongTimes": 0} if tries == 2 else {}
    assert attempts == {"candles": report.rows_inserted, error: 0, **asked_whole_again}

    exchange.behave()
    assert fill(store, exchange, window).status == "complete"
    assert_equals_market(store, window, exchange.market)


def test_a_page_that_nobody_can_read_does_not_keep_the_older_ones_from_coming(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    exchange.manners.misbehave = in_the_middle(always(HTML))

    report = fill(store, exchange, window)

    assert (report.status, report.rows_inserted, report.missing_after) == ("partial", 2880, 1440)


def test_an_exchange_that_is_down_is_not_asked_for_every_page(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=20 * DAY_MS)
    exchange.manners.misbehave = lambda question, true: Answer(502, b"bad gateway")

    report = fill(store, exchange, window, pages_in_flight=2)

    assert (report.status, report.rows_inserted) == ("failed", 0)
    assert len(exchange.asked) <= 2 * 3


def test_one_bad_answer_among_good_ones_is_asked_again_at_once(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    exchange.manners.misbehave = lambda question, true: HTML if question.number == 2 else None

    report = fill(store, exchange, window)

    assert (report.status, report.requests_planned, report.requests, report.error) == ("complete", 3, 4, None)


def test_an_exchange_that_hangs_is_given_up_in_time(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    exchange.latency_ms = 400

    report = fill(store, exchange, window, timeout_s=0.05, pages_in_flight=1)

    assert (report.status, type(report.cause).__name__) == ("failed", "ExchangeUnreachable")
    assert "timed out" in str(report.error).lower() or "timeout" in str(report.error).lower()
    exchange.behave()
    assert fill(store, exchange, window).status == "complete"


def test_an_exchange_that_is_switched_off_is_unreachable(store: CandleStore, window: SeriesWindow) -> None:
    with PaperBlofin(market=_no_market()) as gone:
        pass

    report = fill(store, gone, window)

    assert (report.status, type(report.cause).__name__) == ("failed", "ExchangeUnreachable")
    assert "Connection refused" in str(report.error)


@pytest.fixture
def cutting_server() -> Iterator[str]:
    """Promises 100,000 bytes, sends a few and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"code":"0","data":[["1","2"')

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_an_answer_cut_off_on_its_way_is_no_answer(
    store: CandleStore,
    window: SeriesWindow,
    exchange: PaperBlofin,
    cutting_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(PaperBlofin, "url", cutting_server)
        report = fill(store, exchange, window)

    assert (report.status, type(report.cause).__name__) == ("failed", "ExchangeUnreachable")
    assert fill(store, exchange, window).status == "complete"


def test_what_a_walk_over_short_pages_had_before_it_broke_off_is_stored(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    window = wanted_series(store, history_ms=DAY_MS)

    def short_then_gone(question: Question, true: Answer) -> Answer:
        return saying(data_of(true)[:200]) if question.number <= 4 else Answer(500, b"")

    exchange.manners.misbehave = short_then_gone

    report = fill(store, exchange, window)

    assert (report.status, report.rows_inserted, report.absent_found) == ("partial", 800, 0)
    exchange.behave()
    report = fill(store, exchange, window)
    assert (report.status, report.rows_inserted, report.requests) == ("complete", 640, 1)


# -- rows that may not be stored -----------------------------------------------------------------------------


LOST_MS = NOON_MS - DAY_MS - 701 * MINUTE_MS

Row = list[Any]


def set_field(place: int, value: Any) -> Callable[[Row], list[Row]]:
    return lambda row: [[*row[:place], value, *row[place + 1 :]]]


def high_below_low(row: Row) -> list[Row]:
    return [[*row[:2], row[3], str(float(row[2]) * 2), *row[4:]]]


def told_twice(row: Row) -> list[Row]:
    return [row, [*row[:6], str(float(row[6]) * 1.0001), *row[7:]]]


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        pytest.param(set_field(1, "NaN"), {"field_is_malformed"}, id="NaN as text"),
        pytest.param(set_field(4, "Infinity"), {"field_is_malformed"}, id="Infinity as text"),
        pytest.param(set_field(4, "12,5"), {"field_is_malformed"}, id="a comma"),
        pytest.param(set_field(4, ["1"]), {"field_is_malformed"}, id="a list"),
        pytest.param(set_field(4, {"price": 1}), {"field_is_malformed"}, id="an object"),
        pytest.param(set_field(4, True), {"field_is_malformed"}, id="a truth value"),
        pytest.param(set_field(4, "half \ud800 \x00"), {"field_is_malformed"}, id="text that no database takes"),
        pytest.param(set_field(2, None), {"price_is_missing"}, id="null"),
        pytest.param(set_field(2, ""), {"price_is_missing"}, id="empty"),
        pytest.param(set_field(3, "0"), {"price_is_not_positive"}, id="a price of zero"),
        pytest.param(set_field(3, "-1"), {"price_is_not_positive"}, id="a negative price"),
        pytest.param(set_field(6, "-1"), {"volume_is_negative"}, id="a negative volume"),
        pytest.param(high_below_low, {"high_is_not_highest"}, id="high below low"),
        pytest.param(told_twice, {"open_time_is_told_twice"}, id="one bar told twice and differently"),
        pytest.param(lambda row: [row[:-1]], {"field_is_malformed"}, id="a row too short"),
        pytest.param(set_field(0, str(LOST_MS + 1)), {"open_time_is_off_the_grid"}, id="off the grid"),
        pytest.param(set_field(0, str(NOON_MS // 1000)), None, id="seconds for milliseconds"),
        pytest.param(set_field(0, "0"), None, id="the epoch"),
        pytest.param(set_field(0, "-60000"), None, id="before the epoch"),
        pytest.param(set_field(0, "9" * 17), None, id="the year three million"),
        pytest.param(set_field(0, "1e300"), None, id="past all years"),
        pytest.param(set_field(0, "1" * 400), None, id="past all floats"),
        pytest.param(set_field(0, None), None, id="no time at all"),
        pytest.param(set_field(0, "yesterday"), None, id="no time but a word"),
    ],
)
def test_a_broken_row_is_quarantined_and_its_bar_is_no_silence(
    store: CandleStore,
    window: SeriesWindow,
    exchange: PaperBlofin,
    change: Callable[[Row], list[Row]],
    rules: set[str] | None,
) -> None:
    """``change`` gives what the exchange sends in the place of one row, whichever page it is in."""

    def misbehave(question: Question, true: Answer) -> Answer:
        return saying([sent for row in data_of(true) for sent in (change(row) if row[0] == str(LOST_MS) else [row])])

    exchange.manners.misbehave = misbehave

    report = fill(store, exchange, window)

    assert sorted(set(bars_of(window)) - set(stored_ms(store.connection, window))) == [LOST_MS]
    assert (report.status, report.missing_after, report.absent_found) == ("partial", 1, 0)
    quarantined = rows(store.connection, "SELECT rule, times_seen FROM backfill.quarantine")
    assert report.rows_quarantined == len(quarantined) == (2 if change is told_twice else 1)
    assert rules is None or {rule for rule, _ in quarantined} == rules
    again = fill(store, exchange, window)
    assert (again.missing_after, again.rows_inserted, again.rows_quarantined) == (1, 0, len(quarantined))
    assert rows(store.connection, "SELECT times_seen FROM backfill.quarantine") == [(2,)] * len(quarantined)

    exchange.behave()
    assert fill(store, exchange, window).status == "complete"
    assert one(store.connection, "SELECT count(*) FROM backfill.absences WHERE grade = 'refused'") == 0
    assert_equals_market(store, window, exchange.market)


def test_a_page_of_broken_rows_only_is_kept_and_denies_nothing(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    def nothing_but_zeros(data: list[list[Any]]) -> None:
        for row in data:
            row[1:5] = ["0"] * 4

    exchange.manners.misbehave = in_the_middle(with_rows(nothing_but_zeros))

    report = fill(store, exchange, window)

    assert (report.status, report.missing_after, report.absent_found) == ("partial", 1440, 0)
    assert report.rows_quarantined == one(store.connection, "SELECT count(*) FROM backfill.quarantine") == 1440
    exchange.behave()
    assert fill(store, exchange, window).status == "complete"


def test_rows_that_are_repeated_word_for_word_are_one_row(
    store: CandleStore, window: SeriesWindow, exchange: PaperBlofin
) -> None:
    exchange.manners.misbehave = in_the_middle(with_rows(lambda data: data + data[100:200]))

    report = fill(store, exchange, window)

    assert (report.status, report.rows_quarantined) == ("complete", 0)
    assert_equals_market(store, window, exchange.market)


def test_rows_newer_than_the_cursor_are_left_to_the_page_that_asks_for_them(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    window = wanted_series(store, history_ms=2 * DAY_MS)

    def shifted_to_the_future(question: Question, true: Answer) -> Answer | None:
        if question.after_ms == NOON_MS:
            return None
        data = data_of(true)
        newer = [[str(int(row[0]) + 1440 * MINUTE_MS), *("7777" for _ in row[1:-1]), "1"] for row in data[:300]]
        return saying(newer + data)

    exchange.manners.misbehave = shifted_to_the_future

    report = fill(store, exchange, window)

    assert (report.status, report.rows_revised) == ("complete", 0)
    assert_equals_market(store, window, exchange.market)


def test_a_lie_about_the_clock_stores_no_bar_early(store: CandleStore, exchange: PaperBlofin) -> None:
    """The newest bar is said to be closed while it runs; the exchange's own Date says otherwise."""
    window = wanted_series(store, history_ms=DAY_MS)
    ahead = window._replace(end_ms=window.end_ms + MINUTE_MS)

    def closed_too_early(question: Question, true: Answer) -> Answer:
        data = data_of(true)
        for row in data:
            row[8] = "1"
        return saying(data)

    exchange.manners.misbehave = closed_too_early

    report = fill(store, exchange, ahead)

    assert (report.rows_inserted, report.missing_after, report.absent_found) == (1440, 1, 0)
    assert_equals_market(store, window, exchange.market)


def test_a_deeply_nested_answer_is_no_answer(store: CandleStore, window: SeriesWindow, exchange: PaperBlofin) -> None:
    deep = Answer(200, b'{"code":"0","data":' + b"[" * 100_000)
    exchange.manners.misbehave = in_the_middle(always(deep))

    report = fill(store, exchange, window)

    assert (report.status, type(report.cause).__name__) == ("partial", "BadPayload")


def test_the_error_of_a_run_is_of_a_length_that_a_person_reads(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=60 * DAY_MS)
    exchange.manners.misbehave = lambda question, true: saying([["x"] * 9])

    report = fill(store, exchange, window)

    assert report.status == "failed"
    assert len(json.dumps(report.error)) < 2000


def _no_market() -> Any:
    from backfill.paper.synthetic_market import SyntheticMarket

    return SyntheticMarket(coins=[])

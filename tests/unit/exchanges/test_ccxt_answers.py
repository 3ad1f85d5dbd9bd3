"""What a venue's answers mean, read through ccxt: every way of going wrong has its own error, none is an empty list."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests import exceptions

from backfill.domain.timeframes import MINUTE_MS
from backfill.domain.venues import VENUES, venue
from backfill.errors import (
    AddressBanned,
    BadPayload,
    ExchangeUnreachable,
    GeoBlocked,
    RateLimited,
    RequestRefused,
    SymbolNotListed,
)
from backfill.exchanges.ccxt_client import CcxtClient
from unit.exchanges.canned_answers import Answer, CannedAnswers
from unit.exchanges.test_blofin_client import Drip
from unit.exchanges.venue_markets import BITCOIN, SINCE_MS, Asked, json_answer, okx, okx_row, refused, spot

BEHIND_CCXT = [name for name, known in VENUES.items() if known.client == "ccxt"]

KEYS = {"api_key": "k3y", "api_secret": "s3cret"}
HTML = Answer(b"<html><body>Welcome to the hotel's network</body></html>")


def recorded(document: Any) -> Answer:
    """A named answer with its status and headers."""
    meta = document["_meta"]
    body = document["body_text"] if "body_text" in document else json.dumps(document["body"])
    return Answer(body.encode(), meta["http_status"], meta.get("headers", {}))


# -- rows ----------------------------------------------------------------------------------------------------------


def test_rows_come_in_the_venues_order_with_quote_volume_and_its_word_on_what_is_over():
    raw = [okx_row(str(SINCE_MS + MINUTE_MS), "0"), okx_row(str(SINCE_MS))]
    answer = Asked("okx", okx(raw)).candles(SINCE_MS)
    assert [row.open_ms for row in answer.rows] == [SINCE_MS + MINUTE_MS, SINCE_MS]
    assert answer.rows[0][1:7] == (1, 3, 0.5, 2, 10, "15.5")
    assert [row.closed for row in answer.rows] == [False, True]
    assert [row.raw for row in answer.rows] == raw
    assert answer.server_ms == 1_700_000_100_000
    assert 0 <= answer.latency_ms < 60_000


def test_no_row_is_dropped_sorted_or_merged():
    """ccxt by itself drops what is before `since`, after `limit` or has no time, and sorts the rest."""
    times = [SINCE_MS + MINUTE_MS, SINCE_MS, SINCE_MS, SINCE_MS + 7, SINCE_MS - MINUTE_MS, 0, 4_000_000_000_000]
    raw = [okx_row(str(ms)) for ms in times] + [okx_row("soon"), okx_row(None), None, "row", {}, [], [[]]]
    answer = Asked("okx", okx(raw)).candles(SINCE_MS, limit=3)
    assert [row.open_ms for row in answer.rows] == [*times, *[None] * 7]
    assert [row.raw for row in answer.rows] == raw


@pytest.mark.parametrize("cell", [None, "abc", {"a": 1}, ["1"], ""])
def test_a_cell_that_is_no_number_is_none_and_stays_in_its_row(cell):
    row = okx_row(str(SINCE_MS))
    row[4] = cell
    (told,) = Asked("okx", okx([row])).candles(SINCE_MS).rows
    assert (told.open_ms, told.high, told.close) == (SINCE_MS, 3, None)


@pytest.mark.parametrize("cell", ["1_0", " 1", "1\n", "\uff11", "1\u0660", "\ufeff1"])
@pytest.mark.parametrize("place", [0, 4, 6])
def test_text_that_only_python_takes_for_a_number_is_none(place, cell):
    row = okx_row(str(SINCE_MS))
    row[place] = cell
    (told,) = Asked("okx", okx([row])).candles(SINCE_MS).rows
    assert [told.open_ms, told.close, told.volume].count(None) == 1
    assert told.raw[place] == cell


@pytest.mark.parametrize(
    ("confirm", "is_closed"),
    [("1", True), (1, True), ("0", False), (0, False), ("", None), (None, None), ("yes", None)],
)
def test_a_row_that_must_say_whether_its_bar_is_over_and_does_not_has_no_cells(confirm, is_closed):
    row = [*okx_row(str(SINCE_MS))[:8], confirm]
    (told,) = Asked("okx", okx([row])).candles(SINCE_MS).rows
    assert (told.closed if told.open_ms else None) == is_closed


def test_a_row_cut_short_of_its_word_on_being_over_has_no_cells():
    (told,) = Asked("okx", okx([okx_row(str(SINCE_MS))[:8]])).candles(SINCE_MS).rows
    assert (told.open_ms, told.close, len(told.raw)) == (None, None, 8)


@pytest.mark.parametrize("cell", ["\ud800", 10**400])
def test_what_a_quicker_json_reader_refuses_spoils_its_row_and_no_other(cell):
    """ccxt reads with orjson where that is installed; a half of a surrogate pair made it see no rows at all."""
    answer = Asked("okx", okx([cell, okx_row(str(SINCE_MS)), [*okx_row(str(SINCE_MS))[:4], cell]])).candles(SINCE_MS)
    assert [row.open_ms for row in answer.rows] == [None, SINCE_MS, None]


def test_a_price_that_says_nan_is_nan():
    row = okx_row(str(SINCE_MS))
    row[4] = "NaN"
    (told,) = Asked("okx", okx([row])).candles(SINCE_MS).rows
    assert math.isnan(told.close)


def test_an_empty_list_where_the_rows_belong_is_an_answer():
    answer = Asked("okx", okx([])).candles(SINCE_MS, limit=10)
    assert (answer.rows, answer.covers_ms) == ([], (SINCE_MS, SINCE_MS + 10 * MINUTE_MS))


# -- how much an answer says ---------------------------------------------------------------------------------------


def span_of(source: str, rows: list[Any], limit: int) -> tuple[float, float]:
    """What an answer speaks for, in minutes from `since`."""
    start_ms, end_ms = (
        Asked(source, okx(rows) if source == "okx" else json_answer(rows)).candles(SINCE_MS, limit).covers_ms
    )
    return (start_ms - SINCE_MS) / MINUTE_MS, (end_ms - SINCE_MS) / MINUTE_MS


def minutes(*numbers: int) -> list[list[Any]]:
    return [okx_row(str(SINCE_MS + number * MINUTE_MS)) for number in numbers]


def test_a_page_with_holes_speaks_for_all_that_was_asked():
    assert span_of("okx", minutes(7, 6, 2), 300) == (0, 300)


def test_a_full_page_speaks_for_all_of_it():
    assert span_of("okx", minutes(*range(300)), 300) == (0, 300)


@pytest.mark.parametrize("given", [range(100), range(200, 300)])
def test_a_page_that_may_have_been_cut_speaks_only_for_its_rows(given):
    assert span_of("okx", minutes(*given), 300) == (given.start, given.stop)


def test_a_hundred_rows_of_a_hundred_are_a_full_page():
    assert span_of("okx", minutes(*range(100)), 100) == (0, 100)


def kraken(*numbers: int) -> Answer:
    rows = [[SINCE_MS // 1000 + 60 * number, "1", "3", "0.5", "2", "1.5", "10", 7] for number in numbers]
    return json_answer({"error": [], "result": {"XBTUSDT": rows, "last": 0}})


def test_krakens_newest_rows_say_nothing_of_what_is_older():
    answer = Asked("kraken", kraken(*range(400, 1121))).candles(SINCE_MS, limit=720)
    assert answer.covers_ms == (SINCE_MS + 400 * MINUTE_MS, SINCE_MS + 720 * MINUTE_MS)
    assert len(answer.rows) == 721


def test_a_venue_that_ignores_since_speaks_for_nothing_that_was_asked():
    start_ms, end_ms = Asked("kraken", kraken(*range(5000, 5721))).candles(SINCE_MS, limit=720).covers_ms
    assert start_ms == end_ms


# -- answers that are none -----------------------------------------------------------------------------------------

NOT_AN_ANSWER = {
    "html": HTML,
    "empty": Answer(b""),
    "truncated": Answer(b'{"code":"0","msg":"","data":[["1700000040000","1","3"'),
    "garbled": Answer(b"}{"),
    "null": Answer(b"null"),
    "text": Answer(b'"maintenance"'),
    "NaN": Answer(b"[NaN]"),
    "sent on": Answer(b"", 302, {"Location": "https://login.example/"}),
}


@pytest.mark.parametrize("source", BEHIND_CCXT)
@pytest.mark.parametrize("answer", NOT_AN_ANSWER.values(), ids=NOT_AN_ANSWER)
def test_what_is_not_the_venues_json_is_a_bad_payload_and_never_an_empty_list(source, answer):
    asked = Asked(source, answer)
    assert type(refused(asked)) is BadPayload
    assert (asked.requests, len(asked.naps_s)) == (3, 2)


def test_a_portals_redirect_is_not_followed():
    asked = Asked("okx", NOT_AN_ANSWER["sent on"])
    assert "login.example" in str(refused(asked))
    assert {request.url.split("?")[0] for request in asked.adapter.requests} == {
        "http://127.0.0.1:8900/paper/api/v5/market/history-candles"
    }


NO_LIST = {
    "okx": {"code": "0", "msg": ""},
    "bybit": {"retCode": 0, "result": {}},
    "binanceusdm": {},
    "bitget": {"code": "00000", "data": None},
    "gate": {},
    "kucoinfutures": {"code": "200000", "data": {}},
    "hyperliquid": {"status": "ok"},
    "mexc": {"success": True, "data": {}},
    "binance": {"msg": ""},
    "kraken": {"error": [], "result": {"last": 0}},
    "coinbase": {"products": []},
}


@pytest.mark.parametrize(("source", "document"), NO_LIST.items(), ids=NO_LIST)
def test_json_without_a_list_of_rows_is_a_bad_payload(source, document):
    asked = Asked(source, json_answer(document))
    with pytest.raises(BadPayload):
        asked.candles(SINCE_MS)


def test_rows_that_ccxt_looks_for_in_vain_are_missed():
    under_another_name = {"error": [], "result": {"XXBTZUSD": [[SINCE_MS // 1000, "1", "3", "1", "2", "1", "1", 1]]}}
    with pytest.raises(BadPayload, match="1 candles sent, 0 read"):
        Asked("kraken", json_answer(under_another_name)).candles(SINCE_MS)


@pytest.mark.parametrize(("document", "is_answer"), [({"status": "ok", "data": []}, True), ({"status": "ok"}, False)])
def test_of_a_venue_that_we_do_not_know_an_empty_list_must_be_told_somewhere(document, is_answer):
    asked = Asked(venue("htx"), json_answer(document), markets=(spot("BTC"),))
    asked.market = spot("BTC")
    if is_answer:
        assert asked.candles(SINCE_MS).rows == []
    else:
        with pytest.raises(BadPayload):
            asked.candles(SINCE_MS)


# -- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "name", "error_class", "wait_s"),
    [
        ("bybit", "bybit/error_403_cloudfront_geo", GeoBlocked, None),
        ("binance", "binance/error_403_cloudfront_geo", GeoBlocked, None),
        ("binanceusdm", "binance/error_451_restricted", GeoBlocked, None),
        ("binance", "binance/error_451_restricted", GeoBlocked, None),
        ("bybit", "bybit/error_403_pybit_text", AddressBanned, 600),  # one status, two causes
        ("binance", "binance/error_403_cloudfront_waf", AddressBanned, 600),
        ("binanceusdm", "binance/error_429_weight", RateLimited, 60),  # its Retry-After says "n"
        ("okx", "okx/error_50011_rate_limit", RateLimited, 10),
        ("kucoinfutures", "kucoin/error_429000", RateLimited, 30),
        ("coinbase", "coinbase/error_503_maintenance", ExchangeUnreachable, None),
        ("coinbase", "coinbase/error_400_too_many", RequestRefused, None),
        ("coinbase", "coinbase/error_400_granularity", RequestRefused, None),
        ("kucoinfutures", "kucoin/error_400100_type", RequestRefused, None),
    ],
)
def test_recorded_refusals_mean_what_they_meant(payload, source, name, error_class, wait_s):
    asked = Asked(source, recorded(payload(f"{name}.json")))
    error = refused(asked)
    assert type(error) is error_class
    if isinstance(error, RateLimited):
        assert error.retry_after_s == wait_s
        assert asked.bans == [error]
    assert asked.requests == (3 if error_class is ExchangeUnreachable else 1)


@pytest.mark.parametrize(
    ("source", "answer", "error_class", "wait_s"),
    [
        ("binance", Answer(b"", 418, {"Retry-After": "7200"}), AddressBanned, 7200),
        ("binance", Answer(b"", 418, {"Retry-After": "250000"}), AddressBanned, 250_000),  # bans last up to 3 days
        ("binance", Answer(b"", 429, {"Retry-After": "21"}), RateLimited, 21),
        ("binanceusdm", json_answer({"code": -1003, "msg": "Too many requests"}, 400), RateLimited, 60),
        ("bybit", json_answer({"retCode": 10006, "retMsg": "Too many visits!", "result": {}}), RateLimited, 10),
        ("bybit", json_answer({"retCode": 10018, "retMsg": "ip rate limit", "result": {}}), RateLimited, 10),
        ("okx", json_answer({"code": "50011", "msg": "Too Many Requests"}), RateLimited, 10),
        ("kraken", json_answer({"error": ["EGeneral:Too many requests"]}), RateLimited, 60),
        ("kraken", json_answer({"error": ["EAPI:Rate limit exceeded"]}), RateLimited, 60),
        ("kucoinfutures", json_answer({"code": "429000", "msg": "Too Many Requests"}), RateLimited, 30),
        ("gate", json_answer({"label": "TOO_MANY_REQUESTS", "message": ""}, 400), RateLimited, 10),
        ("mexc", json_answer({"success": False, "code": 510, "message": ""}), RateLimited, 10),
        ("hyperliquid", Answer(b"null", 429), RateLimited, 60),
        ("bitget", Answer(b"", 403, {"Retry-After": "30"}), AddressBanned, 30),
        ("kucoinfutures", Answer(b"", 429, {"gw-ratelimit-reset": "12500"}), RateLimited, 12.5),
        ("kucoinfutures", Answer(b"", 429, {"gw-ratelimit-reset": "soon"}), RateLimited, 30),
        ("kucoinfutures", Answer(b'{"code": "429000"}', 200, {"gw-ratelimit-reset": "8000"}), RateLimited, 8),
    ],
)
def test_an_address_that_asks_too_often_is_told_how_long_to_wait_and_asks_once(source, answer, error_class, wait_s):
    asked = Asked(source, answer)
    error = refused(asked)
    assert type(error) is error_class
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == wait_s
    assert (asked.bans, asked.requests, asked.naps_s) == ([error], 1, [])


@pytest.mark.parametrize(("used", "pauses"), [("2395", False), ("2396", True), ("2400", True), ("?", False)])
def test_once_the_weight_of_a_minute_is_used_all_wait_for_the_next_and_the_answer_is_kept(used, pauses):
    """By whichever program: the header counts everything that our address has asked."""
    row = [SINCE_MS, "1", "3", "0.5", "2", "10", SINCE_MS + MINUTE_MS - 1, "15.5", 7, "5", "7", "0"]
    headers = {"X-MBX-USED-WEIGHT-1M": used, "Date": "Tue, 14 Nov 2023 22:15:48 GMT"}
    asked = Asked("binanceusdm", Answer(json.dumps([row]).encode(), headers=headers))
    assert [row.open_ms for row in asked.candles(SINCE_MS).rows] == [SINCE_MS]
    assert [ban.retry_after_s for ban in asked.bans] == ([12] if pauses else [])


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("okx", Answer(b"<html>403</html>", 403)),
        ("gate", json_answer({"label": "FORBIDDEN", "message": ""}, 403)),
        ("bybit", json_answer({"retCode": 10024, "retMsg": "Compliance rules triggered", "result": {}})),
        ("kucoinfutures", json_answer({"code": "400500", "msg": "Your located country/region is not supported"})),
        ("coinbase", Answer(b"", 451)),
        ("hyperliquid", Answer(b"The distribution is configured to block access from your country", 403)),
    ],
)
def test_a_country_that_is_not_served_is_told_from_an_outage_and_asked_once(source, answer):
    asked = Asked(source, answer)
    assert type(refused(asked)) is GeoBlocked
    assert (asked.requests, asked.bans) == (1, [])


def test_a_refusal_in_a_spelling_that_no_database_takes_is_told_in_one_that_it_does():
    """JSON may come in UTF-16; ccxt takes it for UTF-8 with a NUL in every other place, and says so in its error."""
    body = json.dumps({"code": "51000", "msg": "Parameter bar error"}).encode("utf-16-le")
    told = str(refused(Asked("okx", Answer(body))))
    assert told.isprintable()


UNWELL = {
    "okx 50001": ("okx", json_answer({"code": "50001", "msg": "Service temporarily unavailable"}, 503)),
    "okx 50026": ("okx", json_answer({"code": "50026", "msg": "System error", "data": []})),
    "binance -1001": ("binance", json_answer({"code": -1001, "msg": "Internal error"}, 503)),
    "binance -1001 with 400": ("binanceusdm", json_answer({"code": -1001, "msg": "Internal error"}, 400)),
    "bybit 10016": ("bybit", json_answer({"retCode": 10016, "retMsg": "Server error", "result": {}})),
    "kraken busy": ("kraken", json_answer({"error": ["EService:Busy"]})),
    "mexc 500": ("mexc", json_answer({"success": False, "code": 500, "message": "Internal error"})),
    "bad gateway": ("gate", Answer(b"<html>Bad Gateway</html>", 502)),
    "refused": ("okx", exceptions.ConnectionError("refused")),
    "reset": ("bybit", exceptions.ConnectionError(ConnectionResetError(104, "Connection reset by peer"))),
    "no certificate": ("okx", exceptions.SSLError("certificate verify failed")),
    "no proxy": ("okx", exceptions.ProxyError("cannot connect to proxy")),
    "stuck": ("okx", exceptions.ReadTimeout("timed out")),
    "cut on the wire": ("okx", Answer(okx([]).body, headers={"Content-Length": "1000"})),
    "not the gzip it says": ("okx", Answer(okx([]).body, headers={"Content-Encoding": "gzip"})),
}


@pytest.mark.parametrize(("source", "always"), UNWELL.values(), ids=UNWELL)
def test_a_venue_that_is_unwell_is_asked_three_times_each_in_its_turn(source, always):
    asked = Asked(source, always)
    assert type(refused(asked)) is ExchangeUnreachable
    assert (asked.requests, len(asked.naps_s), asked.bans) == (3, 2, [])


@pytest.mark.parametrize("first", [UNWELL["okx 50001"][1], UNWELL["stuck"][1], HTML])
def test_a_venue_that_recovers_has_answered(first):
    asked = Asked("okx", first, okx([okx_row(str(SINCE_MS))]))
    assert len(asked.candles(SINCE_MS).rows) == 1
    assert (asked.requests, len(asked.naps_s)) == (2, 1)


@pytest.mark.parametrize(
    ("source", "answer", "error_class"),
    [
        ("okx", json_answer({"code": "51001", "msg": "Instrument ID does not exist", "data": []}), SymbolNotListed),
        ("binanceusdm", json_answer({"code": -1121, "msg": "Invalid symbol."}, 400), SymbolNotListed),
        ("gate", json_answer({"label": "CONTRACT_NOT_FOUND", "message": ""}, 400), SymbolNotListed),
        ("okx", json_answer({"code": "51000", "msg": "Parameter bar error", "data": []}), RequestRefused),
        ("bybit", json_answer({"retCode": 10001, "retMsg": "params error", "result": {}}), RequestRefused),
        (
            "gate",
            json_answer({"label": "INVALID_PARAM_VALUE", "message": "Candlestick too long ago. Maximum 10000"}, 400),
            RequestRefused,
        ),
        ("okx", Answer(b"<html>Not Found</html>", 404), RequestRefused),
        ("okx", json_answer({"detail": "Not Found"}, 404), RequestRefused),  # ccxt would call it a network error
        ("kraken", json_answer({"error": ["EQuery:Invalid asset pair"]}), SymbolNotListed),
    ],
)
def test_a_question_that_is_refused_is_not_asked_again(source, answer, error_class):
    asked = Asked(source, answer)
    assert type(refused(asked)) is error_class
    assert (asked.requests, asked.bans) == (1, [])


def test_a_slow_drip_is_cut_off_though_every_read_is_in_time():
    drips = [Answer(Drip(b" ", every_s=0.005)) for _ in range(3)]
    asked = Asked("okx", *drips, timeout_s=0.02)
    began = time.monotonic()
    error = refused(asked)
    assert type(error) is ExchangeUnreachable
    assert "not complete after" in str(error)
    assert time.monotonic() - began < 60


def test_a_ban_whose_page_is_cut_short_is_a_ban_still():
    asked = Asked("bybit", Answer(b"<ht", 403, {"Content-Length": "1000"}))
    assert type(refused(asked)) is AddressBanned


def test_a_turn_that_the_budget_does_not_give_asks_nobody_and_bans_nobody():
    spent = RateLimited("okx", "the shared rate budget is spent", 90)

    def refuse() -> None:
        raise spent

    asked = Asked("okx", okx([]), before_request=refuse)
    assert refused(asked) is spent
    assert (asked.client.requests_made, asked.adapter.requests, asked.bans) == (0, [], [])


def test_errors_show_no_secret_and_are_one_line():
    answer = json_answer({"code": "51000", "msg": "Parameter\nbar error " + "x" * 900, "data": []})
    asked = Asked("okx", answer, **KEYS)
    told = str(refused(asked))
    assert "\n" not in told
    assert len(told) < 400
    assert "k3y" not in told
    assert "s3cret" not in told


class EchoingClock(CannedAnswers):
    """Answers every question with one row, the last minute asked for, and that minute for a Date."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        last_s = int(parse_qs(urlsplit(str(request.url)).query)["after"][0]) // 1000 - 60
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(last_s))
        return CannedAnswers(Answer(okx([okx_row(str(last_s * 1000))]).body, headers={"Date": date})).send(request)


def test_each_thread_is_told_of_its_own_answer():
    client = CcxtClient(venue("okx"), markets=(BITCOIN["okx"],), transport=EchoingClock())

    def clock_and_row_of(minute: int) -> tuple[int | None, int | None]:
        answer = client.candles("BTC/USDT:USDT", "1m", SINCE_MS + minute * MINUTE_MS, 1)
        return answer.server_ms, answer.rows[0].open_ms

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(clock_and_row_of, range(100)))
    assert told == [(SINCE_MS + minute * MINUTE_MS,) * 2 for minute in range(100)]

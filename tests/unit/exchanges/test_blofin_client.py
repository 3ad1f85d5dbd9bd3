"""What Blofin is asked, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import exceptions
from requests.adapters import HTTPAdapter

from backfill.errors import (
    AddressBanned,
    BadPayload,
    ExchangeError,
    ExchangeUnreachable,
    GeoBlocked,
    RateLimited,
    RequestRefused,
    SymbolNotListed,
)
from backfill.exchanges.blofin_client import BARS, TRIES, BlofinClient, markets_of
from backfill.paper.blofin_protocol import BARS as BARS_THAT_BLOFIN_SERVES
from unit.exchanges.canned_answers import Answer, CannedAnswers, envelope, session_with

ROW = ["1700000040000", "1", "2", "0.5", "1.5", "10", "1", "1.5", "1"]
GOOD = envelope([ROW])
HTML = Answer(b"<html><body>Welcome to the hotel's network</body></html>")


class Asked:
    """A client over canned answers, with everything that it did to the world around it."""

    def __init__(
        self, *answers: Answer | Exception, before_request: Callable[[], None] = lambda: None, timeout_s: float = 10
    ) -> None:
        self.adapter = CannedAnswers(*answers)
        self.bans: list[RateLimited] = []
        self.naps_s: list[float] = []
        self.turns = 0
        self._before_request = before_request
        self.client = BlofinClient(
            session_with(self.adapter),
            "https://blofin.example/",
            before_request=self._take_turn,
            on_ban=self.bans.append,
            timeout_s=timeout_s,
            sleep=self.naps_s.append,
        )

    def _take_turn(self) -> None:
        self.turns += 1
        self._before_request()

    def candles(self):
        return self.client.candles("BTC-USDT", "1m", 1_700_000_100_000)

    def refused(self, error_class: type[ExchangeError]) -> ExchangeError:
        with pytest.raises(ExchangeError) as caught:
            self.candles()
        assert type(caught.value) is error_class
        assert caught.value.exchange == "blofin"
        return caught.value

    @property
    def requests(self) -> int:
        """Which three counts agree on."""
        assert self.client.requests_made == self.turns == len(self.adapter.requests)
        return self.turns


# -- what is asked -------------------------------------------------------------------------------------------------


def test_candles_are_asked_for_with_the_documented_parameters_and_no_others():
    asked = Asked(GOOD)
    asked.client.candles("BTC-USDT", "1H", 1_700_000_100_000, limit=7)
    (request,) = asked.adapter.requests
    url = urlsplit(request.url)
    assert (request.method, url.scheme, url.netloc, url.path) == (
        *("GET", "https", "blofin.example"),
        "/api/v1/market/candles",
    )
    expected = {"instId": ["BTC-USDT"], "bar": ["1H"], "after": ["1700000100000"], "limit": ["7"]}
    assert parse_qs(url.query, strict_parsing=True) == expected
    assert request.body is None


def test_a_full_page_is_asked_for_unless_told_otherwise():
    asked = Asked(GOOD)
    asked.candles()
    assert parse_qs(urlsplit(asked.adapter.requests[0].url).query)["limit"] == ["1440"]


def test_instruments_are_asked_for_without_parameters():
    asked = Asked(envelope([{"instId": "BTC-USDT"}]))
    assert [market.venue_symbol for market in asked.client.markets()] == ["BTC-USDT"]
    assert asked.adapter.requests[0].url == "https://blofin.example/api/v1/market/instruments"


def test_certificates_are_checked_and_no_try_waits_longer_than_told():
    asked = Asked(GOOD, timeout_s=7)
    asked.candles()
    (options,) = asked.adapter.options
    assert options["verify"] is not False
    assert options["timeout"] == 7


def test_every_timeframe_has_a_bar_that_blofin_serves():
    assert {bar: name for name, bar in BARS.items()} == BARS_THAT_BLOFIN_SERVES


# -- what an answer means ------------------------------------------------------------------------------------------


def test_an_answer_is_given_as_it_came():
    answer = Asked(envelope([ROW, ["anything"]])).candles()
    assert answer.data == [ROW, ["anything"]]
    assert answer.server_ms is None
    assert answer.latency_ms >= 0


def test_no_rows_are_an_answer_and_not_an_error():
    assert Asked(envelope([])).candles().data == []


def test_a_code_that_is_a_number_is_read_like_text():
    assert Asked(envelope([ROW], code=0)).candles().data == [ROW]
    Asked(envelope(code=152014)).refused(SymbolNotListed)


CODES = {
    "400": RequestRefused,
    "401": RequestRefused,
    "404": RequestRefused,
    "405": RequestRefused,
    "406": RequestRefused,
    "429": RateLimited,
    "500": ExchangeUnreachable,
    "1": RequestRefused,
    "152001": RequestRefused,
    "152002": RequestRefused,
    "152003": RequestRefused,
    "152005": RequestRefused,
    "152014": SymbolNotListed,
    "152015": RequestRefused,
}


@pytest.mark.parametrize(("code", "error_class"), CODES.items())
def test_a_code_with_status_200_is_the_error_that_blofin_means(code, error_class):
    error = Asked(envelope(data=None, code=code, msg="Parameter bar error.")).refused(error_class)
    assert code in str(error)
    assert "Parameter bar error." in str(error)


def test_every_row_of_blofins_own_error_table_is_an_error_and_most_are_our_fault(payload):
    for row in payload("blofin/error_table.json")["body"]:
        answer = Answer(json.dumps({"code": row["code"], "msg": row["msg"]}).encode(), int(row["http_status"]))
        Asked(answer).refused(CODES.get(row["code"], RequestRefused))


def test_an_error_keeps_its_meaning_without_a_data_field():
    Asked(Answer(b'{"code":"152002","msg":"Parameter bar error."}')).refused(RequestRefused)


@pytest.mark.parametrize(("code", "msg"), [("\x00", "\x00"), ("\ud800", "\ud800"), ("1" * 9999, "x" * 99_999)])
def test_a_refusal_that_nobody_could_write_down_is_told_in_words_that_one_can(code, msg):
    told = str(Asked(envelope(code=code, msg=msg)).refused(RequestRefused))
    assert "\x00" not in told
    assert len(told.encode()) < 500


def test_an_instrument_that_is_not_listed_is_named():
    assert Asked(envelope(code="152014")).refused(SymbolNotListed).symbol == "BTC-USDT"


@pytest.mark.parametrize(
    ("status", "headers", "error_class", "retry_after_s"),
    [
        (429, {}, RateLimited, 300),
        (429, {"Retry-After": "7"}, RateLimited, 7),
        (429, {"Retry-After": "0"}, RateLimited, 1),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, RateLimited, 300),
        (429, {"Retry-After": "inf"}, RateLimited, 300),
        (429, {"Retry-After": "nan"}, RateLimited, 300),
        (429, {"Retry-After": "-5"}, RateLimited, 300),
        (429, {"Retry-After": "999999999"}, RateLimited, 300),
        (403, {}, AddressBanned, 300),
        (403, {"Retry-After": "3600"}, AddressBanned, 3600),
    ],
)
def test_a_rate_limit_and_a_ban_say_how_long_to_wait(status, headers, error_class, retry_after_s):
    asked = Asked(Answer(b"<html>403 Forbidden</html>", status, headers))
    error = asked.refused(error_class)
    assert error.retry_after_s == retry_after_s
    assert asked.bans == [error]


@given(st.text(max_size=12))
def test_whatever_retry_after_says_the_wait_is_one_that_a_clock_can_add(text):
    error = Asked(Answer(b"", 429, {"Retry-After": text})).refused(RateLimited)
    assert 1 <= error.retry_after_s <= 24 * 3600


@pytest.mark.parametrize(
    ("status", "error_class"),
    [(451, GeoBlocked), (400, RequestRefused), (404, RequestRefused), (204, RequestRefused), (301, RequestRefused)],
)
def test_other_statuses_have_their_meaning_too(status, error_class):
    asked = Asked(Answer(b"{}", status))
    asked.refused(error_class)
    assert (asked.requests, asked.bans) == (1, [])


@pytest.mark.parametrize("location", ["https://login.example/", "\x80", "//[", ""])
def test_a_portals_redirect_is_not_followed_wherever_it_leads(location):
    asked = Asked(Answer(b"", 302, {"Location": location}))
    asked.refused(BadPayload)
    assert (asked.requests, len(asked.adapter.requests)) == (TRIES, TRIES)


NO_ENVELOPE = {
    "nothing": b"",
    "html": HTML.body,
    "truncated": b'{"code":"0","msg":"success","data":[["1700000040000","1"',
    "truncated to a comma": b'{"code":"0",',
    "not utf-8": b'{"code":"0","msg":"\xff\xfe\xfa","data":[]}',
    "a list": b"[]",
    "text": b'"0"',
    "null": b"null",
    "no code": b'{"data":[]}',
    "code null": b'{"code":null,"data":[]}',
    "code a list": b'{"code":["0"],"data":[]}',
    "no data": b'{"code":"0","msg":"success"}',
    "data null": b'{"code":"0","data":null}',
    "data an object": b'{"code":"0","data":{"0":["1700000040000"]}}',
    "data text": b'{"code":"0","data":"1700000040000"}',
    "NaN": b'{"code":"0","data":[[NaN]]}',
    "Infinity": b'{"code":"0","data":[[-Infinity]]}',
    "nested too deep": b'{"code":"0","data":' + b"[" * 200_000,
    "a number too long": b'{"code":"0","data":[[' + b"9" * 10_000 + b"]]}",
}


@pytest.mark.parametrize("body", NO_ENVELOPE.values(), ids=NO_ENVELOPE)
def test_what_is_no_envelope_is_an_error_and_never_an_absence(body):
    asked = Asked(Answer(body))
    asked.refused(BadPayload)
    assert asked.requests == TRIES


@pytest.mark.parametrize(
    ("date", "server_ms"),
    [
        ("Sat, 21 Nov 2026 02:33:28 GMT", 1_795_228_408_000),
        ("Sat, 21 Nov 2026 03:33:28 +0100", 1_795_228_408_000),
        ("Sat, 21 Nov 2026 02:33:28 -0000", 1_795_228_408_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("2026-11-21T02:33:28Z", None),
        ("Sat, 32 Nov 2026 02:33:28 GMT", None),
        ("Sat, 21 Nov 99999999999999999999 02:33:28 GMT", None),
        ("", None),
    ],
)
def test_the_exchanges_clock_is_its_date_header(date, server_ms):
    assert Asked(Answer(GOOD.body, headers={"Date": date})).candles().server_ms == server_ms


@given(st.text(max_size=40))
def test_no_date_header_costs_us_the_answer(date):
    answer = Asked(Answer(GOOD.body, headers={"Date": date})).candles()
    assert answer.server_ms is None or isinstance(answer.server_ms, int)


# -- what is asked again -------------------------------------------------------------------------------------------

UNWELL = {
    "HTTP 500": Answer(b"", 500),
    "HTTP 502": Answer(b"<html>Bad Gateway</html>", 502),
    "HTTP 503": Answer(b"", 503),
    "code 500": envelope(code="500", msg="Internal Server Error"),
    "refused": exceptions.ConnectionError("refused"),
    "no certificate": exceptions.SSLError("certificate verify failed"),
    "no connection in time": exceptions.ConnectTimeout("timed out"),
    "no answer in time": exceptions.ReadTimeout("timed out"),
    "chunks broken": exceptions.ChunkedEncodingError("Connection broken"),
    "cut short": Answer(GOOD.body, headers={"Content-Length": "1000"}),
    "not the gzip it says": Answer(GOOD.body, headers={"Content-Encoding": "gzip"}),
    "html": HTML,
    "truncated": Answer(GOOD.body[:-9]),
}


@pytest.mark.parametrize("first", UNWELL.values(), ids=UNWELL)
def test_an_exchange_that_is_unwell_is_asked_again_in_turn(first):
    asked = Asked(first, GOOD)
    assert asked.candles().data == [ROW]
    assert (asked.requests, len(asked.naps_s), asked.bans) == (2, 1, [])


@pytest.mark.parametrize("always", UNWELL.values(), ids=UNWELL)
def test_an_exchange_that_stays_unwell_is_given_up_after_three_tries(always):
    asked = Asked(always)
    with pytest.raises((ExchangeUnreachable, BadPayload)):
        asked.candles()
    assert (asked.requests, len(asked.naps_s)) == (3, 2)
    assert all(0 <= nap_s <= 8 for nap_s in asked.naps_s)


@pytest.mark.parametrize(
    ("answer", "error_class"),
    [
        (Answer(b"", 429), RateLimited),
        (envelope(code="429"), RateLimited),
        (Answer(b"", 403), AddressBanned),
        (Answer(b"", 451), GeoBlocked),
        (envelope(code="152014"), SymbolNotListed),
        (envelope(code="152002"), RequestRefused),
    ],
)
def test_what_asking_again_cannot_mend_is_asked_once(answer, error_class):
    asked = Asked(answer, GOOD)
    asked.refused(error_class)
    assert (asked.requests, asked.naps_s) == (1, [])


def test_a_ban_between_two_tries_ends_them_and_is_told():
    asked = Asked(Answer(b"", 500), Answer(b"", 403), GOOD)
    error = asked.refused(AddressBanned)
    assert (asked.requests, asked.bans) == (2, [error])


@pytest.mark.parametrize("status", [403, 429])
def test_a_ban_whose_page_is_cut_short_is_a_ban_still(status):
    asked = Asked(Answer(b"<ht", status, {"Content-Length": "1000"}), GOOD)
    with pytest.raises(RateLimited):
        asked.candles()
    assert (asked.requests, len(asked.bans)) == (1, 1)


def test_a_turn_that_the_budget_does_not_give_asks_nobody_and_bans_nobody():
    spent = RateLimited("blofin", "the shared rate budget is spent", 90)

    def refuse() -> None:
        raise spent

    asked = Asked(GOOD, before_request=refuse)
    assert asked.refused(RateLimited) is spent
    assert (asked.client.requests_made, asked.adapter.requests, asked.bans) == (0, [], [])


def test_threads_share_one_client_and_each_question_is_counted():
    asked = Asked(GOOD)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: asked.candles(), range(200)))
    assert all(answer.data == [ROW] for answer in answers)
    assert asked.client.requests_made == 200


# -- what does not end ---------------------------------------------------------------------------------------------


class Drip:
    """A body that never ends, some bytes at a time; whoever waits for many of them waits for ever."""

    closed = False

    def __init__(self, drop: bytes, every_s: float = 0) -> None:
        self.drop = drop
        self.every_s = every_s
        self.given = 0

    def read1(self, amt: int = -1) -> bytes:
        sleep(self.every_s)
        drop = self.drop[:amt]
        self.given += len(drop)
        return drop

    def read(self, amt: int = -1) -> bytes:
        raise AssertionError("waits for ever")

    def close(self) -> None:
        self.closed = True


def test_a_slow_drip_is_cut_off_though_every_read_is_in_time():
    drips = [Drip(b"[", every_s=0.005) for _ in range(TRIES)]
    error = Asked(*(Answer(drip) for drip in drips), timeout_s=0.02).refused(ExchangeUnreachable)
    assert "not complete after" in str(error)
    assert all(0 < drip.given <= 13 for drip in drips)  # three time-outs of 20 ms each, and a little


def test_a_flood_is_cut_off_after_eight_megabytes():
    flood = Drip(b" " * 1_000_000)
    assert Asked(Answer(flood), GOOD).candles().data == [ROW]
    assert 8_000_000 < flood.given < 9_000_000


# -- what is shown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://blofin.example"])
def test_an_error_shows_neither_a_proxys_password_nor_an_objects_address(url):
    session = session_with(HTTPAdapter())
    session.trust_env = False
    session.proxies = {"http": "http://user:pa55word@127.0.0.1:1", "https": "http://user:pa55word@127.0.0.1:1"}
    session.auth = ("key", "s3cret")
    client = BlofinClient(session, url, timeout_s=1, sleep=lambda _: None)
    with pytest.raises(ExchangeUnreachable, match="proxy") as caught:  # nobody listens on port 1
        client.markets()
    for hidden in ("pa55word", "user", "key", "s3cret", " object at 0x"):
        assert hidden not in str(caught.value)


# -- lists of instruments ----------------------------------------------------------------------------------------


def listed(**told: object) -> dict[str, object]:
    row = {"instId": "BTC-USDT", "contractType": "linear", "state": "live", "contractValue": "0.001", "listTime": "1"}
    return {**row, **told}


def test_a_row_that_cannot_be_read_is_left_out_with_a_warning_and_the_others_stay(caplog):
    rows = [
        listed(),
        listed(instId=""),
        listed(instId="ETH-USDT", contractValue="0"),
        "no row",
        listed(instId="SOL-USDT"),
    ]

    markets = markets_of(rows)

    assert [market.venue_symbol for market in markets if market.is_readable] == ["BTC-USDT", "SOL-USDT"]
    assert [market.venue_symbol for market in markets if not market.is_readable] == ["ETH-USDT", ""]

    assert "3 of 5 instruments are left out" in caplog.text


def test_a_list_without_one_readable_row_is_no_list():
    with pytest.raises(BadPayload, match="an instrument that cannot be read"):
        markets_of([listed(instId=""), listed(contractValue="many")])


def test_a_listing_time_that_cannot_be_read_is_unknown():
    assert [market.listed_ms for market in markets_of([listed(listTime="pending")])] == [None]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc-USDT",
        "=cmd()-USDT",
        "<b>X</b>-USDT",
        "A\x1b[31m-USDT",
        "A\n-USDT",
        "A" * 100_000 + "-USDT",
        "-USDT",
        "@A-USDT",
    ],
)
def test_a_name_that_is_not_safe_to_show_is_left_out_and_not_repeated_as_it_is(name, caplog):
    assert [market.venue_symbol for market in markets_of([listed(), listed(instId=name)])] == ["BTC-USDT"]
    assert "\x1b" not in caplog.text
    assert len(caplog.text) < 600

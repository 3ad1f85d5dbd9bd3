"""What can be made to go wrong, as a plain HTTP client sees it."""

from __future__ import annotations

import time

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.domain.timeframes import HOUR_MS, MINUTE_MS
from backfill.errors import ConfigurationError
from backfill.paper.faults import ANSWERS, BARS, FAULTS
from backfill.paper.limits import NO_LIMITS
from backfill.paper.page_faults import PAGES, Question, damaged_page
from backfill.paper.switchboard import Switchboard
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import NAMES, paper_exchange
from faulty_pages import mixes, switch_on, true_page
from waiting import PATIENCE_S

NOW_MS = 1_763_601_435_000  # 2025-11-20T01:17:15Z
THIS_MINUTE_MS = NOW_MS - NOW_MS % MINUTE_MS
MARKET = SyntheticMarket()
BARS_ASKED = 20

# One question for 20 minutes of BTC that have ended, and how to read open time and close from its answer.
QUESTIONS = {
    "blofin": ("/api/v1/market/candles", {"instId": "BTC-USDT", "limit": 20, "after": THIS_MINUTE_MS}),
    "okx": ("/api/v5/market/history-candles", {"instId": "BTC-USDT-SWAP", "limit": 20}),
    "bybit": (
        "/v5/market/kline",
        {"category": "linear", "symbol": "BTCUSDT", "interval": 1, "limit": 20, "end": THIS_MINUTE_MS - 1},
    ),
    "binance": ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 20, "endTime": THIS_MINUTE_MS - 1}),
    "binanceusdm": (
        "/fapi/v1/klines",
        {"symbol": "BTCUSDT", "interval": "1m", "limit": 20, "endTime": THIS_MINUTE_MS - 1},
    ),
    "kraken": ("/0/public/OHLC", {"pair": "XBTUSDT", "since": THIS_MINUTE_MS // 1000 - 21 * 60}),
}


class Clock:
    """Stands still until it is turned."""

    def __init__(self):
        self.now_ms = NOW_MS

    def __call__(self):
        return self.now_ms


@pytest.fixture(scope="module")
def running():
    """Every exchange at once, each on its own port."""
    exchanges = {name: paper_exchange(name, MARKET, clock=Clock(), limits=NO_LIMITS) for name in NAMES}
    for name, exchange in exchanges.items():
        exchange.venue = name
        exchange.start()
    yield exchanges
    for exchange in exchanges.values():
        exchange.stop()


@pytest.fixture(params=NAMES)
def exchange(request, running):
    yield running[request.param]
    running[request.param].faults.off()
    running[request.param].clock.now_ms = NOW_MS


@pytest.fixture
def okx(running):
    running["okx"].reset_counts()
    yield running["okx"]
    running["okx"].faults.off()
    running["okx"].reset_counts()


def ask(exchange, **differently):
    path, query = QUESTIONS[exchange.venue]
    return requests.get(exchange.url + path, params={**query, **differently}, timeout=PATIENCE_S)


def rows(answer):
    """The rows of any exchange's answer, oldest first, without the running bar; open times in ms."""
    body = answer.json()
    if isinstance(body, dict):
        body = body.get("data", body.get("result"))
    if isinstance(body, dict):
        body = next(value for value in body.values() if isinstance(value, list))
    found = [(int(row[0]) * (1000 if int(row[0]) < 10**11 else 1), *row[1:]) for row in body]
    return sorted((row for row in found if row[0] < THIS_MINUTE_MS), key=lambda row: row[0])


def test_every_exchange_answers_in_full_while_nothing_is_wrong(exchange):
    answer = ask(exchange)
    assert answer.status_code == 200
    assert [row[0] for row in rows(answer)] == [THIS_MINUTE_MS - k * MINUTE_MS for k in range(BARS_ASKED, 0, -1)]


def test_a_closed_connection_gives_no_answer_at_all(exchange):
    exchange.faults.on("closed")
    with pytest.raises(requests.ConnectionError):
        ask(exchange)
    exchange.faults.off("closed")
    assert ask(exchange).status_code == 200


def test_an_answer_can_be_cut_off_in_the_middle(exchange):
    exchange.faults.on("cut")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        ask(exchange)


def test_a_hanging_request_is_answered_when_the_fault_is_over(okx):
    okx.faults.on("hanging")
    path, query = QUESTIONS["okx"]
    with pytest.raises(requests.ReadTimeout):
        requests.get(okx.url + path, params=query, timeout=0.2)
    okx.faults.off()
    assert ask(okx).status_code == 200


def test_who_reads_on_gets_a_dripping_answer_byte_by_byte_and_whole_at_the_end(okx):
    whole = ask(okx).content
    okx.faults.on("dripping")
    path, query = QUESTIONS["okx"]
    with requests.get(okx.url + path, params=query, timeout=PATIENCE_S, stream=True) as answer:
        began = time.perf_counter()
        first = answer.raw.read(2)
        assert time.perf_counter() - began > 0.4
        okx.faults.off()
        assert first + answer.raw.read() == whole


def test_an_exchange_stops_while_a_request_hangs():
    with paper_exchange("okx", MARKET, clock=Clock()) as exchange:
        exchange.faults.on("hanging")
        with pytest.raises(requests.ReadTimeout):
            requests.get(exchange.url + "/api/v5/public/time", timeout=0.1)
        began = time.perf_counter()
    assert time.perf_counter() - began < PATIENCE_S


@pytest.mark.parametrize(
    ("fault", "recording"),
    [
        ("geo_block", "bybit/error_403_cloudfront_geo.json"),
        ("firewall", "binance/error_403_cloudfront_waf.json"),
        ("restricted", "binance/error_451_restricted.json"),
    ],
)
def test_who_is_shut_out_reads_what_was_recorded(payload, exchange, fault, recording):
    exchange.faults.on(fault)
    answer = ask(exchange)
    recorded = payload(recording)
    assert answer.status_code == recorded["_meta"]["http_status"]
    for name, value in recorded["_meta"].get("headers", {}).items():
        assert answer.headers[name].startswith(value)
    if fault == "restricted":
        assert answer.json()["msg"] in recorded["body_text"]
        return
    page = recorded["body_text"]
    reason = "block access from your country" if fault == "geo_block" else "Request blocked."
    assert reason in page
    assert reason in answer.text
    assert answer.text.partition(reason)[0].splitlines()[:7] == page.partition(reason)[0].splitlines()[:7]


def test_who_is_limited_is_told_so_in_the_exchanges_words_with_or_without_when_to_come_back(exchange):
    for fault, retry_after in (("limited", None), ("limited_7s", "7"), ("banned", "120")):
        exchange.faults.off()
        exchange.faults.on(fault)
        answer = ask(exchange)
        assert answer.headers.get("Retry-After") == retry_after
    words = {
        "blofin": "Too Many Requests",
        "okx": "50011",
        "binance": "-1003",
        "binanceusdm": "-1003",
        "kraken": "EGeneral:Too many requests",
    }
    exchange.faults.off()
    exchange.faults.on("limited")
    answer = ask(exchange)
    assert words.get(exchange.venue, "429") in answer.text
    assert answer.status_code == (200 if exchange.venue == "kraken" else 429)


@pytest.mark.parametrize(
    ("fault", "status"), [("error_500", 500), ("error_502", 502), ("error_503", 503), ("html", 200), ("half_json", 200)]
)
def test_some_answers_are_not_json(exchange, fault, status):
    exchange.faults.on(fault)
    answer = ask(exchange)
    assert answer.status_code == status
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_bars_can_be_missing_one_by_one_or_all(exchange):
    holes = [THIS_MINUTE_MS - 3 * MINUTE_MS, THIS_MINUTE_MS - 5 * MINUTE_MS]
    exchange.faults.on("missing", timeframe="1m", opens_ms=holes)
    found = rows(ask(exchange))
    if exchange.venue == "kraken":  # it fills its holes
        assert [row[0] for row in found if row[7] == 0] == sorted(holes)
        return
    assert not set(holes) & {row[0] for row in found}
    exchange.faults.on("missing")
    empty = ask(exchange)
    assert (empty.status_code, rows(empty)) == (200, [])


def test_a_hole_in_the_minutes_is_none_in_the_hours(okx):
    hour_ms = NOW_MS - NOW_MS % HOUR_MS - HOUR_MS
    before = rows(ask(okx, bar="1H", limit=1))
    okx.faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms=range(hour_ms, hour_ms + HOUR_MS, MINUTE_MS))
    assert rows(ask(okx, bar="1H", limit=1)) == before
    assert len(rows(ask(okx, limit=100, after=hour_ms + HOUR_MS, before=hour_ms - 1))) == 0
    assert len(rows(ask(okx, instId="ETH-USDT-SWAP", limit=100, after=hour_ms + HOUR_MS, before=hour_ms - 1))) == 60


def test_a_bar_can_be_revised_between_two_answers(exchange):
    revised_ms = THIS_MINUTE_MS - 4 * MINUTE_MS
    before = rows(ask(exchange))
    exchange.faults.on("revised", timeframe="1m", opens_ms=[revised_ms])
    after = rows(ask(exchange))
    assert [old[0] for old, new in zip(before, after, strict=True) if old != new] == [revised_ms]
    closes = [next(float(row[4]) for row in page if row[0] == revised_ms) for page in (before, after)]
    assert closes[1] == pytest.approx(1.001 * closes[0], rel=1e-4)


@pytest.mark.parametrize(
    ("fault", "is_wrong"),
    [
        ("more_volume", lambda row, true: float(row[6]) == pytest.approx(1.1 * float(true[6]))),
        ("flat", lambda row, true: {*row[2:5]} == {true[1]} and float(row[6]) == 0),
        ("high_below_low", lambda row, true: float(row[2]) < float(row[3])),
        ("negative_volume", lambda row, true: float(row[6]) < 0),
        ("zero_price", lambda row, true: float(row[3]) == 0),
        ("no_close", lambda row, true: row[4] == ""),
        ("off_grid", lambda row, true: row[0] % MINUTE_MS == 1000),
    ],
)
def test_bars_can_be_nonsense(okx, fault, is_wrong):
    true = rows(ask(okx))
    okx.faults.on(fault)
    assert all(is_wrong(*pair) for pair in zip(rows(ask(okx)), true, strict=True))


def test_a_bar_can_be_there_twice_with_two_closes(okx):
    okx.faults.on("doubled", opens_ms=[THIS_MINUTE_MS - MINUTE_MS])
    *_, first, second = rows(ask(okx, limit=5))
    assert first[0] == second[0]
    assert first[4] != second[4]


def test_every_fault_is_in_one_group():
    assert len(set(FAULTS)) == len(FAULTS)
    assert set(ANSWERS) | set(BARS) | set(PAGES) < set(FAULTS)


def test_a_fault_lasts_so_many_requests_or_seconds(okx):
    okx.faults.on("error_503", requests=2)
    assert [ask(okx).status_code for _ in range(3)] == [503, 503, 200]
    okx.faults.on("error_500", seconds=10)
    assert ask(okx).status_code == 500
    okx.clock.now_ms += 10_000
    assert ask(okx).status_code == 200
    okx.clock.now_ms = NOW_MS
    assert okx.requests.by_fault == {"error_503": 2, "error_500": 1}


def test_a_fault_can_befall_one_symbol_or_one_path_alone(okx):
    okx.faults.on("html", path="/api/v5/public")
    okx.faults.on("geo_block", symbol="ETH-USDT")
    assert ask(okx).json()["code"] == "0"
    assert ask(okx, instId="ETH-USDT-SWAP").status_code == 403
    assert (
        requests.get(okx.url + "/api/v5/public/time", timeout=PATIENCE_S)
        .headers["content-type"]
        .startswith("text/html")
    )


def test_faults_are_each_exchanges_own(running):
    running["okx"].faults.on("error_503")
    try:
        assert {name: ask(running[name]).status_code for name in NAMES} == {**dict.fromkeys(NAMES, 200), "okx": 503}
    finally:
        running["okx"].faults.off()


def test_faults_are_switched_over_http_as_well(okx):
    faults = okx.url + "/paper/faults"
    assert (
        requests.post(
            faults + "/geo_block", params={"symbol": "BTC-USDT", "requests": 5}, timeout=PATIENCE_S
        ).status_code
        == 204
    )
    opens_ms = [THIS_MINUTE_MS - MINUTE_MS, THIS_MINUTE_MS - 2 * MINUTE_MS]
    asked = {"timeframe": "1m", "opens_ms": ",".join(map(str, opens_ms))}
    assert requests.post(faults + "/missing", params=asked, timeout=PATIENCE_S).status_code == 204
    told = requests.get(faults, timeout=PATIENCE_S).json()
    assert told["known"] == list(FAULTS)
    assert [(one["name"], one["requests_left"], one["opens_ms"]) for one in told["on"]] == [
        ("geo_block", 5, None),
        ("missing", None, sorted(opens_ms)),
    ]
    assert ask(okx).status_code == 403
    assert requests.delete(faults + "/geo_block", timeout=PATIENCE_S).status_code == 204
    assert max(row[0] for row in rows(ask(okx))) == THIS_MINUTE_MS - 3 * MINUTE_MS
    assert requests.delete(faults, timeout=PATIENCE_S).status_code == 204
    assert requests.get(faults, timeout=PATIENCE_S).json()["on"] == []


@pytest.mark.parametrize(
    ("name", "narrowed", "complaint"),
    [
        ("gremlins", {}, "gremlins"),
        ("html", {"opens_ms": "1"}, "befalls requests"),
        ("html", {"by": "-1h"}, "befalls requests"),
        ("missing", {"rows": "1"}, "befalls bars"),
        ("moved", {"by": "far"}, "as in -400d"),
        ("moved", {"then": "error_503"}, "never used up"),
        ("moved", {"probability": "2"}, "between 0 and 1"),
        ("moved", {"requests": "1", "then": "gremlins"}, "gremlins"),
        ("missing", {"requests": "1"}, "befalls bars"),
        ("html", {"secs": "1"}, "secs"),
        ("html", {"seconds": "soon"}, "soon"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_a_reason(okx, name, narrowed, complaint):
    answer = requests.post(f"{okx.url}/paper/faults/{name}", params=narrowed, timeout=PATIENCE_S)
    assert answer.status_code == 400
    assert complaint in answer.text
    assert okx.faults.are_on() == []


def test_an_unknown_fault_is_an_error_in_python_too(okx):
    with pytest.raises(ConfigurationError, match="known are closed, hanging"):
        okx.faults.on("gremlins")


def opens(answer):
    return [row[0] for row in rows(answer)]


TRUE_OPENS_MS = [THIS_MINUTE_MS - k * MINUTE_MS for k in range(BARS_ASKED, 0, -1)]


@pytest.mark.parametrize("fault", PAGES)
def test_every_fault_of_pages_shows_in_every_exchanges_answers_while_it_is_on(exchange, fault):
    true = ask(exchange).content
    exchange.faults.on(fault, seed=3)
    spoilt = ask(exchange)
    assert spoilt.status_code == 200
    if (exchange.venue, fault) != ("kraken", "wrong_cursor"):
        assert spoilt.content != true
    exchange.faults.off()
    assert ask(exchange).content == true


def test_one_old_row_and_then_an_error(exchange):
    exchange.faults.on("moved", by="-400d", requests=1, then="error_503")
    first, *later = (ask(exchange) for _ in range(4))
    old = [open_ms for open_ms in opens(first) if open_ms < TRUE_OPENS_MS[0]]
    assert len(old) == 1
    assert set(opens(first)) == {*TRUE_OPENS_MS, *old} - {old[0] + 400 * 86_400_000}
    assert [answer.status_code for answer in later] == [503, 503, 503]


@pytest.mark.parametrize(("then", "status"), [("limited", 429), ("firewall", 403), ("error_503", 503)])
def test_any_fault_of_answers_may_follow_on_any_of_pages(okx, then, status):
    okx.faults.on("empty_page", requests=2, then=then)
    answers = [ask(okx) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, status]
    assert [opens(answer) for answer in answers[:2]] == [[], []]
    assert okx.requests.by_fault == {"empty_page": 2, then: 1}


def test_a_hang_may_follow(okx):
    okx.faults.on("short_page", rows=5, requests=1, then="hanging")
    assert opens(ask(okx)) == TRUE_OPENS_MS[-5:]
    path, query = QUESTIONS["okx"]
    with pytest.raises(requests.ReadTimeout):
        requests.get(okx.url + path, params=query, timeout=0.2)
    okx.faults.off()


def test_a_fault_can_befall_the_nth_request_alone(okx):
    okx.faults.on("empty_page", after=2, requests=1)
    assert [len(opens(ask(okx))) for _ in range(4)] == [20, 20, 0, 20]
    okx.faults.on("error_500", after=1, requests=2)
    assert [ask(okx).status_code for _ in range(4)] == [200, 500, 500, 200]


def test_a_fault_can_befall_only_the_page_that_contains_a_time(exchange):
    exchange.faults.on("empty_page", contains_ms=TRUE_OPENS_MS[3] + 30_000)
    assert opens(ask(exchange)) == []
    exchange.faults.off()
    exchange.faults.on("empty_page", contains_ms=THIS_MINUTE_MS - 30 * 86_400_000)
    assert opens(ask(exchange)) == TRUE_OPENS_MS


def test_a_fault_can_befall_only_the_rows_of_some_bars(exchange):
    at = [TRUE_OPENS_MS[3], TRUE_OPENS_MS[7]]
    exchange.faults.on("left_out", opens_ms=at)
    assert set(TRUE_OPENS_MS) - set(opens(ask(exchange))) == set(at)


def test_a_fault_of_pages_can_befall_one_symbol_or_timeframe_alone(okx):
    okx.faults.on("empty_page", symbol="ETH-USDT")
    okx.faults.on("empty_page", timeframe="1h")
    assert opens(ask(okx)) == TRUE_OPENS_MS
    assert opens(ask(okx, instId="ETH-USDT-SWAP")) == []
    assert opens(ask(okx, bar="1H")) == []


def test_a_fault_can_befall_requests_by_chance_and_the_seed_decides_which(okx):
    def befallen(name, seed):
        okx.faults.off()
        okx.faults.on(name, probability=0.5, seed=seed)
        return [len(ask(okx).content) for _ in range(20)]

    for name in ("empty_page", "error_503"):
        first, again, other = (befallen(name, seed) for seed in (4, 4, 5))
        assert first == again != other
        assert 4 <= sum(size == max(first) for size in first) <= 16


def test_the_dice_of_a_question_do_not_depend_on_what_is_asked_in_between(okx):
    okx.faults.on("left_out", share=0.5, seed=5)
    first = [ask(okx).content for _ in range(2)]
    okx.faults.off()
    okx.faults.on("left_out", share=0.5, seed=5)
    second = []
    for _ in range(2):
        ask(okx, instId="ETH-USDT-SWAP")
        second.append(ask(okx).content)
    assert first == second
    assert first[0] != first[1]


def test_several_faults_befall_one_page(okx):
    okx.faults.on("short_page", rows=10)
    okx.faults.on("moved", by="future")
    found = ask(okx).json()["data"]
    assert len(found) == 10
    assert sum(int(row[0]) > NOW_MS for row in found) == 1


def test_faults_of_pages_are_switched_over_http_with_their_parameters(exchange):
    asked = {"by": "+1h", "rows": 2, "requests": 1, "then": "error_503", "seed": 4}
    url = exchange.url + "/paper/faults"
    assert requests.post(url + "/moved", params=asked, timeout=5).status_code == 204
    (shown,) = requests.get(url, timeout=5).json()["on"]
    assert (shown["then"], shown["damage"]["by"], shown["damage"]["rows"]) == ("error_503", "+1h", 2)
    page = ask(exchange)
    assert len(set(TRUE_OPENS_MS) - set(opens(page))) == 2
    assert ask(exchange).status_code == 503
    plus_as_blank = requests.post(url + "/moved?by=+1h&opens_ms=1,2", timeout=5)
    assert plus_as_blank.status_code == 204


def test_what_is_no_page_of_candles_is_left_alone(okx):
    okx.faults.on("empty_page")
    instruments = requests.get(okx.url + "/api/v5/public/instruments?instType=SWAP", timeout=5)
    assert len(instruments.json()["data"]) > 0
    assert ask(okx, instId="NO-USDT-SWAP").json()["code"] == "51001"
    assert okx.requests.by_fault == {}


@given(name=st.sampled_from(NAMES), mix=mixes(), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_mix_of_faults_is_served_as_the_pages_are_made_without_a_server(running, name, mix, seed):
    exchange = running[name]
    for damage in mix:
        switch_on(exchange.faults, damage, seed=seed)
    try:
        path, query = QUESTIONS[name]
        query = {key: str(value) for key, value in query.items()}
        page = true_page(Question(exchange.protocol, exchange.market, path, query, NOW_MS))
        twin = Switchboard(exchange.clock)
        for damage in mix:
            switch_on(twin, damage, seed=seed)
        assert ask(exchange).content == damaged_page(page, twin.befalling_page(page)).answer().body
    finally:
        exchange.faults.off()


def test_what_follows_on_a_fault_is_switched_off_with_it(okx):
    okx.faults.on("moved", requests=1, then="error_503", symbol="BTC-USDT")
    assert [ask(okx).status_code for _ in range(2)] == [200, 503]
    assert ask(okx, instId="ETH-USDT-SWAP").status_code == 200
    okx.faults.off()
    assert ask(okx).status_code == 200


def test_a_late_replica_is_late_on_every_exchange_and_fills_nothing_up(exchange):
    exchange.faults.on("lagging", rows=5)
    assert opens(ask(exchange))[-1] == TRUE_OPENS_MS[-1] - 5 * MINUTE_MS


def test_an_error_uses_up_no_fault_of_pages(okx):
    okx.faults.on("error_503", requests=1)
    okx.faults.on("empty_page", requests=1)
    answers = [ask(okx) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 200, 200]
    assert [opens(answer) for answer in answers[1:]] == [[], TRUE_OPENS_MS]

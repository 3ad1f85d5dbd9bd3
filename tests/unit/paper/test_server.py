"""The paper exchange over HTTP, and from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

import backfill
from backfill.errors import ConfigurationError
from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from waiting import PATIENCE_S

CANDLES = "/api/v1/market/candles"
NOW_MS = 1_763_601_435_000  # 2025-11-20T01:17:15Z
PLUGINS = Path(backfill.__file__).parents[1]


class Clock:
    """Stands still until it is turned."""

    def __init__(self, now_ms=NOW_MS):
        self.now_ms = now_ms

    def __call__(self):
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def exchange(clock):
    with PaperExchange(SyntheticMarket(), clock=clock) as running:
        yield running


@pytest.fixture
def session():
    with requests.Session() as opened:
        yield opened


def test_a_page_comes_over_http_dated_by_the_exchanges_clock(exchange, session):
    answer = session.get(exchange.url + CANDLES, params={"instId": "BTC-USDT", "limit": 1440}, timeout=PATIENCE_S)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json()["data"]) == 1440
    assert parsedate_to_datetime(answer.headers["date"]).timestamp() * 1000 == NOW_MS


def test_it_listens_on_the_loopback_address_alone(exchange):
    assert exchange.url == f"http://127.0.0.1:{exchange.port}"


def test_requests_are_counted_by_route_and_instrument(exchange, session):
    for symbol in ("BTC-USDT", "BTC-USDT", "ETH-USDT"):
        session.get(exchange.url + CANDLES, params={"instId": symbol, "limit": 1}, timeout=PATIENCE_S)
    session.get(exchange.url + "/nowhere", timeout=PATIENCE_S)
    assert session.get(exchange.url + "/paper/stats", timeout=PATIENCE_S).json() == {
        "total": 4,
        "weight": 4,
        "refused": 0,
        "by_route": {CANDLES: 3, "/nowhere": 1},
        "by_symbol": {"BTC-USDT": 2, "ETH-USDT": 1},
        "by_fault": {},
    }
    assert exchange.requests.by_symbol["BTC-USDT"] == 2
    assert session.post(exchange.url + "/paper/stats/reset", timeout=PATIENCE_S).status_code == 204
    assert exchange.requests.total == 0


def test_who_asks_too_often_gets_429_until_the_suspension_is_over(exchange, clock, session):
    url = exchange.url + CANDLES
    for _ in range(500):
        assert session.get(url, timeout=PATIENCE_S).status_code == 200
    refused = session.get(url, timeout=PATIENCE_S)
    assert (refused.status_code, refused.json()) == (429, {"code": "429", "msg": "Too Many Requests"})
    assert "date" in refused.headers
    clock.now_ms += 299_999
    assert session.get(url, timeout=PATIENCE_S).status_code == 429
    clock.now_ms += 1
    assert session.get(url, timeout=PATIENCE_S).status_code == 200
    assert (exchange.requests.total, exchange.requests.refused) == (503, 2)


def test_the_firewall_can_be_switched_on_and_answers_html(exchange, clock, session):
    session.post(exchange.url + "/paper/suspend", params={"status": 403, "seconds": 300}, timeout=PATIENCE_S)
    banned = session.get(exchange.url + CANDLES, timeout=PATIENCE_S)
    assert banned.status_code == 403
    assert banned.headers["content-type"].startswith("text/html")
    clock.now_ms += 300_000
    assert session.get(exchange.url + CANDLES, timeout=PATIENCE_S).status_code == 200


def test_limits_can_be_reset_and_left_out(exchange, session):
    exchange.suspend(429, seconds=3600)
    assert session.get(exchange.url + CANDLES, timeout=PATIENCE_S).status_code == 429
    session.post(exchange.url + "/paper/limits/reset", timeout=PATIENCE_S)
    assert session.get(exchange.url + CANDLES, timeout=PATIENCE_S).status_code == 200
    with PaperExchange(SyntheticMarket(), limits=NO_LIMITS) as unlimited:
        statuses = {session.get(unlimited.url + CANDLES, timeout=PATIENCE_S).status_code for _ in range(510)}
    assert statuses == {200}


def test_latency_is_waited_before_each_answer_and_answers_wait_side_by_side():
    with PaperExchange(SyntheticMarket(), latency_ms=500) as slow, ThreadPoolExecutor(10) as pool:
        began = time.perf_counter()
        list(pool.map(lambda _: requests.get(slow.url + CANDLES, timeout=PATIENCE_S), range(10)))
        assert 0.5 <= time.perf_counter() - began < 4.5  # one after another: 5 s


def test_a_stopped_exchange_refuses_connections_and_comes_back_on_its_port(exchange, session):
    url = exchange.url
    exchange.stop()
    with pytest.raises(requests.ConnectionError):
        session.get(url + CANDLES, timeout=PATIENCE_S)
    exchange.start()
    assert exchange.url == url
    assert session.get(url + CANDLES, timeout=PATIENCE_S).status_code == 200


def test_a_taken_port_is_a_clear_error(exchange):
    with pytest.raises(ConfigurationError, match=f"port {exchange.port} "):
        PaperExchange(SyntheticMarket(), port=exchange.port).start()


def test_what_is_served_can_be_asked(exchange, session):
    assert session.get(exchange.url + "/paper/market", timeout=PATIENCE_S).json()["kind"] == "synthetic"


def run_paper(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(PLUGINS)}
    return subprocess.Popen(
        [sys.executable, "-m", "backfill.paper", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_the_command_prints_its_address_serves_and_ends_on_a_signal(session):
    with run_paper("--instruments", "40", "--no-limits") as process:
        try:
            url = process.stdout.readline().strip()
            body = session.get(url + "/api/v1/market/instruments", timeout=PATIENCE_S).json()
            assert len(body["data"]) == 40
        finally:
            process.terminate()
    assert process.returncode in (0, -15)


def test_the_command_serves_several_exchanges_each_at_an_address_of_its_own(session):
    questions = {
        "blofin": "/api/v1/market/candles?instId=1000BONK-USDT&limit=1",
        "okx": "/api/v5/market/candles?instId=BONK-USDT-SWAP&limit=1",
        "bybit": "/v5/market/kline?category=linear&symbol=1000BONKUSDT&interval=1&limit=1",
        "binanceusdm": "/fapi/v1/klines?symbol=1000BONKUSDT&interval=1m&limit=1",
        "kraken": "/0/public/OHLC?pair=XBTUSDT",
    }
    with run_paper("--exchanges", ",".join(questions), "--more-coins", "--traps", "preopen,usdc") as process:
        try:
            lines = [json.loads(process.stdout.readline()) for _ in questions]
            assert [line["exchange"] for line in lines] == list(questions)
            assert len({line["url"] for line in lines}) == 5
            for line in lines:
                answer = session.get(line["url"] + questions[line["exchange"]], timeout=PATIENCE_S)
                assert answer.status_code == 200
                assert len(answer.text) > 80
                assert session.get(line["url"] + "/paper/stats", timeout=PATIENCE_S).json()["total"] == 1
        finally:
            process.terminate()
    assert process.returncode in (0, -15)


@pytest.mark.parametrize(
    ("arguments", "complaint"), [(("--exchanges", "okx,mtgox"), "mtgox"), (("--traps", "bear"), "bear")]
)
def test_the_command_names_what_it_does_not_know(arguments, complaint):
    with run_paper(*arguments) as process:
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert f"unknown: {complaint}; known are" in said


def test_the_command_says_what_is_wrong_with_a_replay(tmp_path):
    with run_paper("--replay", str(tmp_path / "nowhere")) as process:
        _, complaint = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert complaint.startswith("backfill.paper: ")
    assert complaint.count("\n") == 1

"""Binance's three APIs, as the documentation and recorded answers have them, without HTTP."""

from __future__ import annotations

import json

import pytest

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS
from backfill.paper.binance_protocol import BinanceProtocol
from backfill.paper.limits import Doorkeeper, PaperRefusal
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import venue_market
from unit.paper.shapes import shape

NOW_MS = 1_763_601_435_000  # 2025-11-20T01:17:15Z
THIS_MINUTE_MS = NOW_MS - NOW_MS % MINUTE_MS
MARKET = venue_market("binance", SyntheticMarket(), traps=("inverse", "usdc"))
SPOT, LINEAR, INVERSE = "/api/v3", "/fapi/v1", "/dapi/v1"


def ask(path, **query):
    answer = BinanceProtocol().answer(MARKET, "GET", path, {k: str(v) for k, v in query.items()}, NOW_MS)
    return answer, json.loads(answer.body) if answer.media_type == "application/json" else None


def rows(root=LINEAR, **query):
    answer, body = ask(f"{root}/klines", **{"symbol": "BTCUSDT", "interval": "1m", **query})
    assert answer.status == 200
    return body


def times(root=LINEAR, **query):
    return [row[0] for row in rows(root, **query)]


@pytest.mark.parametrize(
    ("root", "recording"),
    [
        (SPOT, "binance/klines_binance_spot_hummingbot.json"),
        (SPOT, "binance/klines_doc_sample.json"),
        (LINEAR, "binance/klines_binance_perpetual_hummingbot.json"),
    ],
)
def test_answers_have_the_shape_of_recorded_ones(payload, root, recording):
    theirs = payload(recording)["body"]
    ours = rows(root, interval="1h", limit=4)
    assert shape(ours) == shape(theirs)
    assert [row[6] - row[0] for row in ours] == [HOUR_MS - 1] * 4
    decimals = [[len(cell.partition(".")[2]) for cell in page[0] if isinstance(cell, str)] for page in (ours, theirs)]
    assert decimals[0][:4] == decimals[1][:4]
    assert decimals[0][5] == decimals[1][5]


def test_the_columns_mean_what_they_do_in_the_recording(payload):
    recording = payload("binance/klines_binance_perpetual_hummingbot.json")["body"]
    for page in (rows(limit=20), recording):
        for row in page:
            assert float(row[3]) <= float(row[7]) / float(row[5]) <= float(row[2])
            assert float(row[9]) < float(row[5])


@pytest.mark.parametrize(("root", "symbol"), [(LINEAR, "BTC-USDT"), (SPOT, "BTC-USDT-SPOT"), (LINEAR, "1000PEPE-USDT")])
def test_rows_are_the_markets(root, symbol):
    spelled = symbol.replace("-SPOT", "").replace("-", "")
    page = rows(root, symbol=spelled, limit=50, endTime=THIS_MINUTE_MS - 1)
    candles = MARKET.candles(symbol, "1m", THIS_MINUTE_MS - 50 * MINUTE_MS, THIS_MINUTE_MS)
    ours = [[float(row[k]) for k in (0, 1, 2, 3, 4, 5, 7)] for row in page]
    assert ours == [list(row) for row in candles.tolist()]


def test_a_page_is_500_bars_oldest_first_the_running_one_included():
    assert times() == [THIS_MINUTE_MS - k * MINUTE_MS for k in range(499, -1, -1)]


def test_spot_cuts_a_long_page_short_and_futures_refuse_it():
    assert len(rows(SPOT, limit=5000)) == 1000
    assert len(rows(LINEAR, limit=1500)) == 1500
    answer, body = ask(f"{LINEAR}/klines", symbol="BTCUSDT", interval="1m", limit=1501)
    assert (answer.status, body["code"]) == (400, -1130)


def test_from_a_start_on_come_the_oldest_bars_and_up_to_an_end_the_newest():
    old, new = THIS_MINUTE_MS - 5000 * MINUTE_MS, THIS_MINUTE_MS - 4900 * MINUTE_MS
    assert times(startTime=old, limit=3) == [old, old + MINUTE_MS, old + 2 * MINUTE_MS]
    assert times(startTime=old + 1, limit=1) == [old + MINUTE_MS]
    assert times(endTime=new, limit=2) == [new - MINUTE_MS, new]
    assert times(startTime=old, endTime=new) == [old + k * MINUTE_MS for k in range(101)]
    assert times(startTime=old, endTime=new, limit=2) == [old, old + MINUTE_MS]
    assert times(startTime=THIS_MINUTE_MS + 1) == times(startTime=new, endTime=old) == []


def test_a_start_before_the_listing_gives_the_first_bars_there_are():
    listed_ms = MARKET.instrument("TON-USDT").listed_ms
    assert times(symbol="TONUSDT", startTime=1, limit=1) == [listed_ms - listed_ms % MINUTE_MS]


def test_bars_open_in_utc():
    assert times(interval="1d", limit=1) == [NOW_MS - NOW_MS % DAY_MS]
    assert times(interval="8h", limit=1) == [NOW_MS - NOW_MS % (8 * HOUR_MS)]


def test_an_inverse_contract_is_a_hundred_dollars():
    for row in rows(INVERSE, symbol="BTCUSD_PERP", limit=30, endTime=THIS_MINUTE_MS - 1):
        assert float(row[5]) * 100 == pytest.approx(float(row[7]) * float(row[4]), rel=0.01)
    (btc, _) = ask(f"{INVERSE}/exchangeInfo")[1]["symbols"]
    assert (btc["symbol"], btc["marginAsset"], btc["contractSize"]) == ("BTCUSD_PERP", "BTC", 100)


def test_each_api_lists_its_own_instruments():
    listed = {root: ask(f"{root}/exchangeInfo")[1] for root in (SPOT, LINEAR, INVERSE)}
    assert {info["rateLimits"][0]["limit"] for info in listed.values()} == {6000, 2400}
    perpetuals = {f["symbol"]: f for f in listed[LINEAR]["symbols"]}
    assert (perpetuals["1000PEPEUSDT"]["baseAsset"], perpetuals["BTCUSDC"]["marginAsset"]) == ("1000PEPE", "USDC")
    assert "contractType" not in listed[SPOT]["symbols"][0]
    assert {f["contractType"] for f in perpetuals.values()} == {"PERPETUAL"}


def test_the_time_can_be_asked():
    assert ask(f"{LINEAR}/time")[1] == {"serverTime": NOW_MS}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": ""}, -1102),
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"symbol": "btcusdt"}, -1121),
        ({"interval": "1M"}, -1120),
        ({"interval": ""}, -1120),
        ({"limit": "0"}, -1130),
        ({"startTime": "yesterday"}, -1100),
    ],
)
def test_wrong_questions_get_http_400_and_a_negative_code(query, code):
    answer, body = ask(f"{LINEAR}/klines", **{"symbol": "BTCUSDT", "interval": "1m", **query})
    assert (answer.status, body["code"]) == (400, code)


@pytest.mark.parametrize("path", ["/fapi/v1/ticker", "/fapi/v2/klines", "/klines", "/"])
def test_unknown_paths_are_not_found(path):
    assert ask(path)[0].status == 404


@pytest.mark.parametrize(
    ("path", "limit", "weight"),
    [
        ("/fapi/v1/klines", 99, 1),
        ("/fapi/v1/klines", 100, 2),
        ("/fapi/v1/klines", 499, 2),
        ("/fapi/v1/klines", 500, 5),
        ("/fapi/v1/klines", 1000, 5),
        ("/fapi/v1/klines", 1001, 10),
        ("/fapi/v1/klines", "", 5),
        ("/fapi/v1/exchangeInfo", "", 1),
        ("/api/v3/klines", 1000, 2),
        ("/api/v3/exchangeInfo", "", 20),
    ],
)
def test_requests_weigh_what_the_documentation_says(path, limit, weight):
    assert BinanceProtocol().weight(path, {"limit": str(limit)}) == weight


def test_who_asks_too_much_is_told_to_wait_and_who_does_not_wait_is_banned(payload):
    protocol, door = BinanceProtocol(), Doorkeeper(BinanceProtocol.house_rules)
    path = f"{LINEAR}/klines"
    assert {door.refusal("me", k, path, weight=5) for k in range(480)} == {None}
    refused = door.refusal("me", 10_000, path, weight=5)
    assert refused == PaperRefusal(429, MINUTE_MS)
    answer = protocol.refusal(refused, 10_000)
    recording = payload("binance/error_429_weight.json")["body"]
    assert (answer.status, answer.headers["Retry-After"]) == (429, "50")
    body = json.loads(answer.body)
    assert (body["code"], body["msg"][:36]) == (recording["code"], recording["msg"][:36])
    assert door.refusal("me", 10_000, f"{SPOT}/klines", weight=2) is None
    last = [door.refusal("me", 11_000 + k, path, weight=5) for k in range(10)][-1]
    assert last == PaperRefusal(418, 11_009 + 2 * MINUTE_MS)
    assert protocol.refusal(last, 11_009).headers["Retry-After"] == "120"


def test_the_weight_used_up_is_told():
    assert BinanceProtocol().usage_headers("/fapi/v1/klines", 15) == {"X-MBX-USED-WEIGHT-1M": "15"}

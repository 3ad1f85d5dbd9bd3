"""Bybit's protocol, as its documentation and its recorded answers have it, without HTTP."""

from __future__ import annotations

import json

import pytest

from backfill.domain.timeframes import DAY_MS, MINUTE_MS
from backfill.paper.bybit_protocol import INSTRUMENTS, INTERVALS, KLINE, TIME, BybitProtocol
from backfill.paper.coins import LIQUID_COINS, made_up_coins
from backfill.paper.limits import Doorkeeper, PaperRefusal
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import venue_market
from unit.paper.shapes import shape

NOW_MS = 1_763_601_435_000  # 2025-11-20T01:17:15Z
THIS_MINUTE_MS = NOW_MS - NOW_MS % MINUTE_MS
MARKET = venue_market("bybit", SyntheticMarket(), traps=("inverse", "usdc"))


def ask(path=KLINE, market=MARKET, method="GET", **query):
    answer = BybitProtocol().answer(market, method, path, {k: str(v) for k, v in query.items()}, NOW_MS)
    return answer, json.loads(answer.body)


def rows(**query):
    answer, body = ask(**{"category": "linear", "symbol": "BTCUSDT", "interval": 1, **query})
    assert (answer.status, body["retCode"], body["retMsg"]) == (200, 0, "OK")
    return body["result"]["list"]


def times(**query):
    return [int(row[0]) for row in rows(**query)]


@pytest.mark.parametrize(
    ("query", "recording"),
    [
        ({"category": "spot", "interval": "D", "limit": 1}, "bybit/kline_spot_1d_1row.json"),
        ({"category": "spot", "interval": 60, "limit": 5}, "bybit/klines_bybit_spot_hummingbot.json"),
        ({"category": "linear", "interval": 1, "limit": 1}, "bybit/kline_linear_fixture_unaligned.json"),
    ],
)
def test_answers_have_the_shape_of_recorded_ones(payload, query, recording):
    _, ours = ask(symbol="BTCUSDT", **query)
    theirs = payload(recording)["body"]
    assert shape(ours) == shape(theirs)
    assert ours["result"]["category"] == theirs["result"]["category"]


def test_the_first_and_the_last_columns_mean_what_they_do_in_the_recording(payload):
    recording = payload("bybit/kline_linear_testnet_D.json")["body"]["result"]["list"]
    for page in (rows(interval="D", limit=3), recording):
        assert [int(row[0]) % DAY_MS for row in page] == [0, 0, 0]
        assert int(page[0][0]) - int(page[1][0]) == DAY_MS
        assert all(float(row[3]) <= float(row[6]) / float(row[5]) <= float(row[2]) for row in page)


def test_rows_are_the_markets():
    page = rows(limit=50, end=THIS_MINUTE_MS - 1)
    candles = MARKET.candles("BTC-USDT", "1m", THIS_MINUTE_MS - 50 * MINUTE_MS, THIS_MINUTE_MS)[::-1]
    assert [[float(cell) for cell in row] for row in page] == [list(row) for row in candles.tolist()]


def test_a_page_is_200_bars_newest_first_the_running_one_included_and_never_more_than_1000():
    assert times() == [THIS_MINUTE_MS - k * MINUTE_MS for k in range(200)]
    assert len(rows(limit=5000)) == 1000


def test_from_a_start_on_come_the_bars_that_follow_and_the_one_that_contains_it():
    start_ms = THIS_MINUTE_MS - 5000 * MINUTE_MS
    expected = [start_ms + k * MINUTE_MS for k in range(10)][::-1]
    assert times(start=start_ms, limit=10) == times(start=start_ms + 59_999, limit=10) == expected
    assert times(start=THIS_MINUTE_MS + MINUTE_MS) == []


def test_a_start_before_the_listing_gives_the_first_bars_there_are():
    listed_ms = MARKET.instrument("TON-USDT").listed_ms
    first_ms = listed_ms - listed_ms % MINUTE_MS
    assert times(symbol="TONUSDT", start=9999, limit=2) == [first_ms + MINUTE_MS, first_ms]


def test_start_and_end_are_inclusive_and_the_newest_between_them_are_given():
    old, new = THIS_MINUTE_MS - 100 * MINUTE_MS, THIS_MINUTE_MS - 90 * MINUTE_MS
    assert times(start=old, end=new) == [new - k * MINUTE_MS for k in range(11)]
    assert times(start=old, end=new, limit=2) == times(end=new, limit=2) == [new, new - MINUTE_MS]


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_documented_interval_but_the_month_is_served(interval):
    page = times(interval=interval, limit=3)
    assert page[0] - page[1] == page[1] - page[2]
    assert page[0] % min(page[0] - page[1], DAY_MS) == 0


def test_one_name_is_three_instruments():
    linear, spot = (rows(category=category, limit=5, end=THIS_MINUTE_MS - 1) for category in ("linear", "spot"))
    assert [row[0] for row in linear] == [row[0] for row in spot]
    assert all(float(here[5]) > 2 * float(there[5]) for here, there in zip(linear, spot, strict=True))
    usdc = ask(category="linear", symbol="BTCPERP", interval=1)[1]["result"]["symbol"]
    assert usdc == "BTCPERP"


def test_an_inverse_markets_volume_is_in_dollars_and_its_turnover_in_coins():
    for row in rows(category="inverse", symbol="BTCUSD", limit=20, end=THIS_MINUTE_MS - 1):
        assert float(row[5]) == pytest.approx(float(row[6]) * float(row[4]), rel=0.01)


def test_shib_has_its_thousand_at_the_end_of_its_name():
    assert len(rows(symbol="SHIB1000USDT", limit=5)) == 5
    _, body = ask(INSTRUMENTS, category="linear", symbol="SHIB1000USDT")
    assert [(f["symbol"], f["baseCoin"], f["settleCoin"]) for f in body["result"]["list"]] == [
        ("SHIB1000USDT", "SHIB1000", "USDT")
    ]


def test_instruments_come_by_category():
    fields = {c: ask(INSTRUMENTS, category=c)[1]["result"]["list"] for c in ("spot", "linear", "inverse")}
    assert [f["symbol"] for f in fields["inverse"]] == ["BTCUSD", "ETHUSD"]
    assert {f["settleCoin"] for f in fields["inverse"]} == {"BTC", "ETH"}
    assert {f["settleCoin"] for f in fields["linear"]} == {"USDT", "USDC"}
    assert "settleCoin" not in fields["spot"][0]
    assert ask(INSTRUMENTS, category="linear", status="PreLaunch")[1]["result"]["list"] == []


def test_many_instruments_come_in_pages():
    market = SyntheticMarket(coins=[*LIQUID_COINS, *made_up_coins(1000, NOW_MS)])
    _, first = ask(INSTRUMENTS, market, category="linear", limit=1000)
    _, second = ask(INSTRUMENTS, market, category="linear", limit=1000, cursor=first["result"]["nextPageCursor"])
    pages = [page["result"] for page in (first, second)]
    assert [len(page["list"]) for page in pages] == [1000, 32]
    assert pages[1]["nextPageCursor"] == ""
    assert len({f["symbol"] for page in pages for f in page["list"]}) == 1032


def test_the_time_can_be_asked():
    _, body = ask(TIME)
    assert (body["time"], body["result"]) == (NOW_MS, {"timeSecond": "1763601435", "timeNano": "1763601435000000000"})


@pytest.mark.parametrize(
    "query",
    [
        {"symbol": "NOPEUSDT"},
        {"symbol": "btcusdt"},
        {"category": "inverse"},
        {"category": "option"},
        {"interval": "1m"},
        {"interval": "480"},
        {"limit": "0"},
        {"start": "yesterday"},
    ],
)
def test_wrong_questions_get_http_200_and_a_code(query):
    answer, body = ask(**{"category": "linear", "symbol": "BTCUSDT", "interval": 1, **query})
    assert (answer.status, body["retCode"], body["result"]) == (200, 10001, {})


def test_600_requests_in_five_seconds_are_served_and_the_next_costs_ten_minutes():
    door = Doorkeeper(BybitProtocol.house_rules)
    assert {door.refusal("me", k, KLINE) for k in range(600)} == {None}
    assert door.refusal("me", 4999, KLINE) == PaperRefusal(403, 4999 + 10 * MINUTE_MS)
    assert door.refusal("me", 4999 + 10 * MINUTE_MS, KLINE) is None
    refused = BybitProtocol().refusal(PaperRefusal(403, 0), NOW_MS)
    assert refused.status == 403
    assert b"access too frequent" in refused.body

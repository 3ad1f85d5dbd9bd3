"""Blofin's protocol, as its documentation has it, without HTTP."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.timeframes import HOUR_MS, MINUTE_MS
from backfill.paper.blofin_protocol import BARS, BlofinProtocol
from backfill.paper.protocol import plain_decimals
from backfill.paper.synthetic_market import SyntheticMarket

CANDLES = "/api/v1/market/candles"
INSTRUMENTS = "/api/v1/market/instruments"
NOW_MS = 1_763_601_435_000  # 2025-11-20T01:17:15Z
THIS_MINUTE_MS = NOW_MS - NOW_MS % MINUTE_MS
MARKET = SyntheticMarket(seed=7)
FIELDS = {
    *("instId", "baseCurrency", "quoteCurrency", "settleCurrency", "instType", "contractType", "contractValue"),
    *("listTime", "expireTime", "state", "tickSize", "lotSize", "minSize", "maxLeverage"),
    *("maxLimitSize", "maxMarketSize"),
}


def ask(path=CANDLES, method="GET", now_ms=NOW_MS, **query):
    answer = BlofinProtocol().answer(MARKET, method, path, {k: str(v) for k, v in query.items()}, now_ms)
    return answer, json.loads(answer.body)


def rows(**query):
    answer, body = ask(instId="BTC-USDT", **query)
    assert (answer.status, body["code"], body["msg"]) == (200, "0", "success")
    return body["data"]


def times(**query):
    return [int(row[0]) for row in rows(**query)]


def test_a_page_is_500_rows_newest_first_the_running_bar_included():
    page = rows()
    assert [int(row[0]) for row in page] == [THIS_MINUTE_MS - k * MINUTE_MS for k in range(500)]
    assert [row[8] for row in page] == ["0"] + ["1"] * 499
    assert all(len(row) == 9 and all(isinstance(cell, str) for cell in row) for row in page)


def test_a_bar_is_confirmed_from_the_moment_it_ends():
    _, running = ask(instId="BTC-USDT", limit=2, now_ms=THIS_MINUTE_MS + MINUTE_MS - 1)
    _, ended = ask(instId="BTC-USDT", limit=2, now_ms=THIS_MINUTE_MS + MINUTE_MS)
    assert running["data"][0][0] == ended["data"][1][0] == str(THIS_MINUTE_MS)
    assert running["data"][0][8] == "0"
    assert ended["data"][1][8] == "1"


def test_columns_are_prices_contracts_coins_and_quote_volume_as_the_market_has_them():
    page = rows(limit=100, after=THIS_MINUTE_MS)
    candles = MARKET.candles("BTC-USDT", "1m", THIS_MINUTE_MS - 100 * MINUTE_MS, THIS_MINUTE_MS)[::-1]
    for row, candle in zip(page, candles, strict=True):
        expected = [candle[name] for name in ("open", "high", "low", "close")]
        assert [float(cell) for cell in row[1:5]] == expected
        assert float(row[6]) == candle["base_volume"]
        assert float(row[5]) == pytest.approx(candle["base_volume"] / 0.001, rel=1e-12)
        assert len(row[5].partition(".")[2]) <= 1  # whole lots of 0.1 contracts
        assert float(row[7]) == candle["quote_volume"]


def test_numbers_of_tiny_coins_carry_no_exponent():
    _, body = ask(instId="PEPE-USDT", limit=1440)
    cells = {cell for row in body["data"] for cell in row}
    assert not [cell for cell in cells if "e" in cell.lower() or cell.endswith(".0")]


def test_after_is_exclusive_and_walks_back_over_every_bar_once():
    seen, cursor_ms = [], THIS_MINUTE_MS + MINUTE_MS
    for _ in range(4):
        page = times(after=cursor_ms, limit=1440)
        assert max(page) < cursor_ms
        seen += page
        cursor_ms = min(page)
    assert seen == [THIS_MINUTE_MS - k * MINUTE_MS for k in range(4 * 1440)]


def test_walking_back_ends_with_an_empty_page_before_the_listing():
    listed_ms = MARKET.instrument("TON-USDT").listed_ms
    first_ms = listed_ms - listed_ms % MINUTE_MS
    _, short = ask(instId="TON-USDT", after=first_ms + 3 * MINUTE_MS)
    assert [int(row[0]) for row in short["data"]] == [first_ms + k * MINUTE_MS for k in (2, 1, 0)]
    _, empty = ask(instId="TON-USDT", after=first_ms)
    assert empty == {"code": "0", "msg": "success", "data": []}


def test_before_alone_gives_the_latest_page_not_the_next_one():
    assert times(before=THIS_MINUTE_MS - 5000 * MINUTE_MS, limit=3) == times(limit=3)
    assert times(before=THIS_MINUTE_MS - 2 * MINUTE_MS) == [THIS_MINUTE_MS, THIS_MINUTE_MS - MINUTE_MS]
    assert times(before=THIS_MINUTE_MS) == []


def test_before_and_after_are_a_window_open_at_both_ends():
    old, new = THIS_MINUTE_MS - 1000 * MINUTE_MS, THIS_MINUTE_MS - 990 * MINUTE_MS
    assert times(before=old, after=new) == [new - k * MINUTE_MS for k in range(1, 10)]
    assert times(before=old - 1, after=new) == [new - k * MINUTE_MS for k in range(1, 11)]
    assert times(before=old, after=new, limit=2) == [new - MINUTE_MS, new - 2 * MINUTE_MS]
    assert times(before=new, after=old) == []


@given(after=st.integers(-1000, 1000), limit=st.integers(1, 60))
def test_a_cursor_off_the_grid_still_means_earlier_than(after, limit):
    cursor_ms = THIS_MINUTE_MS - 7 * HOUR_MS + 137 * after
    first_ms = cursor_ms - 1 - (cursor_ms - 1) % MINUTE_MS
    assert times(after=cursor_ms, limit=limit) == [first_ms - k * MINUTE_MS for k in range(limit)]


@pytest.mark.parametrize("bar", BARS)
def test_every_documented_bar_but_3d_and_1_month_is_served_on_its_grid(bar):
    page = times(bar=bar, limit=3)
    assert page[0] <= NOW_MS
    assert page[0] - page[1] == page[1] - page[2]


def test_a_day_opens_at_midnight_and_a_week_on_monday_in_utc():
    assert times(bar="1D", limit=1) == [1_763_596_800_000]
    assert times(bar="1W", limit=1) == [1_763_337_600_000]


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ({}, "152001", "Parameter instId cannot be empty."),
        ({"instId": ""}, "152001", "Parameter instId cannot be empty."),
        ({"instId": "NOPE-USDT"}, "152014", "Instrument ID does not exist"),
        ({"instId": "btc-usdt"}, "152014", "Instrument ID does not exist"),
        ({"instId": "BTC-USDT", "bar": "1h"}, "152002", "Parameter bar error."),
        ({"instId": "BTC-USDT", "bar": "1M"}, "152002", "Parameter bar error."),
        ({"instId": "BTC-USDT", "bar": "3D"}, "152002", "Parameter bar error."),
        ({"instId": "BTC-USDT", "bar": "7m"}, "152002", "Parameter bar error."),
        ({"instId": "BTC-USDT", "limit": "1441"}, "152002", "Parameter limit error."),
        ({"instId": "BTC-USDT", "limit": "0"}, "152002", "Parameter limit error."),
        ({"instId": "BTC-USDT", "limit": "-1"}, "152002", "Parameter limit error."),
        ({"instId": "BTC-USDT", "limit": "many"}, "152002", "Parameter limit error."),
        ({"instId": "BTC-USDT", "after": "yesterday"}, "152002", "Parameter after error."),
        ({"instId": "BTC-USDT", "after": "9" * 30}, "152002", "Parameter after error."),
        ({"instId": "BTC-USDT", "before": "1.5"}, "152002", "Parameter before error."),
    ],
)
def test_wrong_questions_get_http_200_and_the_documented_code(query, code, message):
    answer, body = ask(**query)
    assert answer.status == 200
    assert body == {"code": code, "msg": message}


def test_unknown_paths_and_methods_are_answered_with_a_code():
    answer, body = ask("/api/v1/market/history-candles", instId="BTC-USDT")
    assert (answer.status, body) == (200, {"code": "404", "msg": "not found"})
    answer, body = ask(CANDLES, method="POST", instId="BTC-USDT")
    assert (answer.status, body) == (200, {"code": "405", "msg": "Method Not Allowed"})


def test_instruments_have_the_documented_fields_all_as_strings():
    _, body = ask(INSTRUMENTS)
    assert len(body["data"]) == 32
    pepe = next(row for row in body["data"] if row["instId"] == "PEPE-USDT")
    assert pepe["contractValue"] == "10000000"
    assert pepe["tickSize"] == "0.000000001"
    assert set(pepe) == FIELDS
    assert all(isinstance(value, str) for row in body["data"] for value in row.values())
    assert {(row["instType"], row["contractType"], row["settleCurrency"]) for row in body["data"]} == {
        ("SWAP", "linear", "USDT")
    }


def test_one_instrument_can_be_asked_for():
    answer, body = ask(INSTRUMENTS, instId="WIF-USDT")
    assert [row["instId"] for row in body["data"]] == ["WIF-USDT"]
    assert answer.symbol == "WIF-USDT"
    assert ask(INSTRUMENTS, instId="NOPE-USDT")[1]["code"] == "152014"


@given(st.floats(allow_infinity=False, allow_nan=False))
def test_decimals_read_back_the_same_and_have_no_exponent(value):
    (text,) = plain_decimals(np.array([value]))
    assert float(text) == value
    assert set(text) <= set("-.0123456789")


def test_an_unknown_number_is_the_empty_string():
    assert plain_decimals(np.array([np.nan, 2.0, 1e-9, 1e22])) == ["", "2", "0.000000001", "1" + "0" * 22]

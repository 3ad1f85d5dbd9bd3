"""OKX's protocol, as its documentation and its recorded answers have it, without HTTP."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS
from backfill.paper.limits import Doorkeeper, PaperRefusal
from backfill.paper.okx_protocol import CANDLES, HISTORY, INSTRUMENTS, TIME, OkxProtocol
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import venue_market
from unit.paper.shapes import shape

NOW_MS = 1_763_601_435_000  # 2025-11-20T01:17:15Z
THIS_MINUTE_MS = NOW_MS - NOW_MS % MINUTE_MS
MARKET = venue_market("okx", SyntheticMarket(), traps=("inverse",))


def ask(path=CANDLES, protocol=None, method="GET", now_ms=NOW_MS, **query):
    query = {k: str(v) for k, v in query.items()}
    answer = (protocol or OkxProtocol()).answer(MARKET, method, path, query, now_ms)
    return answer, json.loads(answer.body)


def rows(path=CANDLES, **query):
    answer, body = ask(path, **{"instId": "BTC-USDT-SWAP", **query})
    assert (answer.status, body["code"]) == (200, "0")
    return body["data"]


def times(path=CANDLES, **query):
    return [int(row[0]) for row in rows(path, **query)]


@pytest.mark.parametrize(
    ("inst_id", "recording"),
    [
        ("BTC-USDT-SWAP", "okx/candles_swap_1m_2rows.json"),
        ("BTC-USDT-SWAP", "okx/klines_okx_perpetual_hummingbot.json"),
        ("BTC-USDT", "okx/klines_okx_spot_hummingbot.json"),
    ],
)
def test_answers_have_the_shape_of_recorded_ones(payload, inst_id, recording):
    body = payload(recording)["body"]
    assert shape(ask(HISTORY, instId=inst_id, limit=4)[1]) == shape(body)
    steps = {int(a[0]) - int(b[0]) for a, b in zip(body["data"], body["data"][1:], strict=False)}
    assert steps <= {MINUTE_MS, HOUR_MS}  # newest first, as ours


def test_a_perpetuals_volume_is_in_contracts_then_coins_then_quote_currency_as_recorded(payload):
    for body in (ask(limit=20, instId="BTC-USDT-SWAP")[1], payload("okx/candles_swap_1m_2rows.json")["body"]):
        for row in body["data"]:
            close, contracts, coins, quote = (float(row[k]) for k in (4, 5, 6, 7))
            assert contracts * 0.01 == pytest.approx(coins, rel=1e-6)
            assert coins * close == pytest.approx(quote, rel=0.01)


def test_a_spot_pairs_volume_is_in_coins_then_twice_in_quote_currency_as_recorded(payload):
    recording = payload("okx/klines_okx_spot_hummingbot.json")["body"]
    for body in (ask(instId="BTC-USDT", limit=20)[1], recording):
        for row in body["data"]:
            assert row[6] == row[7]
            assert float(row[5]) * float(row[4]) == pytest.approx(float(row[6]), rel=0.01)


def test_rows_are_the_markets():
    page = rows(limit=50, after=THIS_MINUTE_MS)
    candles = MARKET.candles("BTC-USDT", "1m", THIS_MINUTE_MS - 50 * MINUTE_MS, THIS_MINUTE_MS)[::-1]
    assert [[float(cell) for cell in (*row[:5], *row[6:8])] for row in page] == [list(row) for row in candles.tolist()]


def test_a_page_is_100_bars_newest_first_the_running_one_included_and_never_more_than_300():
    assert times() == [THIS_MINUTE_MS - k * MINUTE_MS for k in range(100)]
    assert [row[8] for row in rows(limit=3)] == ["0", "1", "1"]
    assert len(rows(limit=1000)) == len(rows(HISTORY, limit=1000)) == 300


def test_history_has_what_has_ended_at_any_depth_and_candles_the_newest_1440_bars():
    assert times(HISTORY, limit=1) == [THIS_MINUTE_MS - MINUTE_MS]
    cursor_ms, seen = THIS_MINUTE_MS + MINUTE_MS, []
    while page := times(after=cursor_ms, limit=300):
        seen += page
        cursor_ms = min(page)
    assert seen == [THIS_MINUTE_MS - k * MINUTE_MS for k in range(1440)]
    assert times(HISTORY, after=cursor_ms, limit=2) == [cursor_ms - MINUTE_MS, cursor_ms - 2 * MINUTE_MS]


def test_a_page_of_history_was_smaller_once():
    protocol = OkxProtocol(history_limit=100)
    query = {"instId": "BTC-USDT-SWAP", "limit": 300}
    assert [len(ask(path, protocol, **query)[1]["data"]) for path in (CANDLES, HISTORY)] == [300, 100]


def test_after_and_before_are_exclusive():
    old, new = THIS_MINUTE_MS - 100 * MINUTE_MS, THIS_MINUTE_MS - 90 * MINUTE_MS
    for path in (CANDLES, HISTORY):
        assert times(path, before=old, after=new) == [new - k * MINUTE_MS for k in range(1, 10)]
        assert times(path, before=old - 1, after=new + 1) == [new - k * MINUTE_MS for k in range(11)]
    assert times(before=old, limit=2) == [THIS_MINUTE_MS, THIS_MINUTE_MS - MINUTE_MS]


def test_long_bars_open_on_hong_kongs_midnight_unless_they_are_called_utc():
    opens = {bar: times(HISTORY, bar=bar, limit=2) for bar in ("1D", "1Dutc", "6H", "6Hutc", "1W", "1Wutc")}
    midnight_ms = NOW_MS - NOW_MS % DAY_MS
    assert opens["1Dutc"] == [midnight_ms - DAY_MS, midnight_ms - 2 * DAY_MS]
    assert opens["1D"] == [midnight_ms - 32 * HOUR_MS, midnight_ms - 56 * HOUR_MS]
    assert [ms % (6 * HOUR_MS) for ms in opens["6H"] + opens["6Hutc"]] == [4 * HOUR_MS] * 2 + [0] * 2
    assert opens["1Wutc"][0] - opens["1W"][0] == 8 * HOUR_MS


def test_a_hong_kong_day_is_the_aggregate_of_its_hours():
    row = rows(HISTORY, bar="1D", limit=1)[0]
    open_ms = int(row[0])
    hours = MARKET.candles("BTC-USDT", "1h", open_ms, open_ms + DAY_MS)
    assert [float(cell) for cell in row[1:5]] == [
        hours["open"][0],
        hours["high"].max(),
        hours["low"].min(),
        hours["close"][-1],
    ]
    assert float(row[6]) == pytest.approx(hours["base_volume"].sum(), rel=1e-12)
    assert rows(bar="1D", limit=1)[0][8] == "0"


def test_inverse_contracts_are_worth_a_hundred_dollars():
    page = rows(instId="BTC-USD-SWAP", limit=30, after=THIS_MINUTE_MS)
    for row in page:
        assert float(row[5]) * 100 == pytest.approx(float(row[7]), rel=0.01)
    (fields,) = [f for f in ask(INSTRUMENTS, instType="SWAP")[1]["data"] if f["instId"] == "BTC-USD-SWAP"]
    assert (fields["ctType"], fields["settleCcy"], fields["ctVal"], fields["ctValCcy"]) == (
        "inverse",
        "BTC",
        "100",
        "USD",
    )


def test_instruments_come_by_type():
    swaps, spots = ({f["instId"]: f for f in ask(INSTRUMENTS, instType=t)[1]["data"]} for t in ("SWAP", "SPOT"))
    assert (swaps["BTC-USDT-SWAP"]["ctVal"], swaps["BTC-USDT-SWAP"]["settleCcy"]) == ("0.01", "USDT")
    assert (swaps["BTC-USDT-SWAP"]["baseCcy"], swaps["BTC-USDT-SWAP"]["uly"]) == ("", "BTC-USDT")
    assert (spots["BTC-USDT"]["baseCcy"], spots["BTC-USDT"]["quoteCcy"], spots["BTC-USDT"]["ctVal"]) == (
        "BTC",
        "USDT",
        "",
    )
    assert not set(swaps) & set(spots)
    assert ask(INSTRUMENTS, instType="OPTION")[1]["data"] == []
    assert [f["instId"] for f in ask(INSTRUMENTS, instType="SWAP", instId="WIF-USDT-SWAP")[1]["data"]] == [
        "WIF-USDT-SWAP"
    ]


def test_half_announced_instruments_lack_what_all_others_have():
    for kind in ("SPOT", "SWAP", "FUTURES", "OPTION"):
        last = ask(INSTRUMENTS, OkxProtocol(preopen=True), instType=kind)[1]["data"][-1]
        assert last["state"] == "preopen"
        assert not last.get("baseCcy")


def test_the_time_can_be_asked():
    assert ask(TIME)[1] == {"code": "0", "msg": "", "data": [{"ts": str(NOW_MS)}]}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"instId": ""}, 400, "50014"),
        ({"instId": "NOPE-USDT-SWAP"}, 200, "51001"),
        ({"instId": "btc-usdt-swap"}, 200, "51001"),
        ({"bar": "1h"}, 400, "51000"),
        ({"bar": "8H"}, 400, "51000"),
        ({"limit": "0"}, 400, "51000"),
        ({"after": "yesterday"}, 400, "51000"),
    ],
)
def test_wrong_questions_get_a_code_and_no_data(query, status, code):
    answer, body = ask(**{"instId": "BTC-USDT-SWAP", **query})
    assert (answer.status, body["code"], body["data"]) == (status, code, [])


def test_unknown_paths_are_not_found():
    answer = OkxProtocol().answer(MARKET, "GET", "/api/v5/market/tickers", {}, NOW_MS)
    assert (answer.status, answer.media_type) == (404, "text/html")


def test_each_path_has_a_limit_of_its_own_and_the_refusal_is_the_recorded_one(payload):
    protocol, door = OkxProtocol(), Doorkeeper(OkxProtocol.house_rules)
    admitted = {
        path: sum(door.refusal("me", k, path) is None for k in range(60)) for path in (CANDLES, HISTORY, INSTRUMENTS)
    }
    assert admitted == {CANDLES: 40, HISTORY: 20, INSTRUMENTS: 20}
    assert door.refusal("me", 2000, HISTORY) is None
    refused = protocol.refusal(PaperRefusal(429, NOW_MS), NOW_MS)
    recording = payload("okx/error_50011_rate_limit.json")
    assert (refused.status, json.loads(refused.body)) == (recording["_meta"]["http_status"], recording["body"])


def test_no_number_has_an_exponent():
    _, body = ask(HISTORY, instId="PEPE-USDT-SWAP", limit=300)
    cells = {cell for row in body["data"] for cell in row}
    assert not [cell for cell in cells if "e" in cell.lower()]
    assert np.isfinite([float(cell) for cell in cells]).all()

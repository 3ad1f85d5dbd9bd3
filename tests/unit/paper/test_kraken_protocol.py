"""Kraken's protocol, as its documentation and its recorded answers have it, without HTTP."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS
from backfill.paper.kraken_protocol import INTERVALS, KrakenProtocol
from backfill.paper.limits import Doorkeeper, PaperRefusal
from backfill.paper.replayed_market import ReplayedMarket
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venue_market import PaperListing, VenueMarket
from backfill.paper.venues import venue_market
from unit.paper.shapes import shape
from unit.paper.test_replayed_market import bars, write

NOW_MS = 1_763_601_435_000  # 2025-11-20T01:17:15Z
THIS_MINUTE_MS = NOW_MS - NOW_MS % MINUTE_MS
MARKET = venue_market("kraken", SyntheticMarket(quiet_share=0.3))
ABSENT = venue_market("kraken", SyntheticMarket(quiet_share=0.3, quiet_bars="absent"))


def ask(endpoint="OHLC", market=MARKET, now_ms=NOW_MS, **query):
    query = {k: str(v) for k, v in query.items()}
    answer = KrakenProtocol().answer(market, "GET", f"/0/public/{endpoint}", query, now_ms)
    assert answer.status == 200
    return json.loads(answer.body)


def rows(market=MARKET, pair="XBTUSDT", **query):
    body = ask(market=market, pair=pair, **query)
    assert body["error"] == []
    return body["result"][pair]


def times(**query):
    return [1000 * row[0] for row in rows(**query)]


def test_answers_have_the_shape_of_the_recorded_one(payload):
    theirs = payload("kraken/ohlc_XBTUSDT_1m_721.json")["body"]
    ours = ask(pair="XBTUSDT", interval=1)
    assert shape(ours) == shape(theirs)
    pages = [body["result"]["XBTUSDT"] for body in (ours, theirs)]
    assert [len(page) for page in pages] == [721, 721]
    for body, page in zip((ours, theirs), pages, strict=True):
        assert np.unique(np.diff([row[0] for row in page])).tolist() == [60]
        assert body["result"]["last"] == page[-2][0]
        silent = [row for row in page if row[7] == 0]
        assert 150 < len(silent) < 300
        assert all(row[1] == row[2] == row[3] == row[4] for row in silent)
        assert {(row[5], row[6]) for row in silent} == {("0.0", "0.00000000")}
        opened = {len(cell.partition(".")[2]) for row in page for cell in row[1:6]}
        assert opened == {1}


def test_the_average_price_lies_within_the_bar_as_in_the_recorded_one(payload):
    recording = payload("kraken/ohlc_XBTUSDT_1m_721.json")["body"]["result"]["XBTUSDT"]
    for page in (rows(), recording):
        assert all(float(row[3]) <= float(row[5]) <= float(row[2]) for row in page if row[7])


def test_rows_are_the_markets():
    candles = MARKET.candles("BTC-USDT-SPOT", "1m", THIS_MINUTE_MS - 720 * MINUTE_MS, NOW_MS + 1, NOW_MS)
    ours = [[1000 * row[0], *(float(row[k]) for k in (1, 2, 3, 4, 6))] for row in rows()]
    assert ours == [list(row)[:6] for row in candles.tolist()]


def test_whatever_since_says_the_page_is_the_newest_720_bars_and_the_running_one():
    newest = [THIS_MINUTE_MS - k * MINUTE_MS for k in range(720, -1, -1)]
    assert times() == newest
    assert times(since=1) == times(since=(NOW_MS - 5 * DAY_MS) // 1000) == newest


def test_since_leaves_out_what_is_not_newer():
    since_s = (THIS_MINUTE_MS - 3 * MINUTE_MS) // 1000
    assert times(since=since_s) == [THIS_MINUTE_MS - 2 * MINUTE_MS, THIS_MINUTE_MS - MINUTE_MS, THIS_MINUTE_MS]
    assert times(since=since_s - 1)[0] == THIS_MINUTE_MS - 3 * MINUTE_MS
    assert times(since=NOW_MS) == []


def test_minutes_without_a_trade_are_flat_even_if_the_market_has_no_bar_for_them():
    filled, flat = rows(ABSENT), rows(MARKET)
    assert len(filled) == 721
    assert filled == flat


def test_a_market_that_has_stopped_is_not_carried_on(tmp_path):
    write(tmp_path, "kraken__XBT-USDT__1m", bars("1m", 1000, leave_out={990, 991}))
    replayed = ReplayedMarket(tmp_path, now_ms=NOW_MS)
    spot = venue_market("kraken", SyntheticMarket()).instrument("BTC-USDT-SPOT")
    market = VenueMarket(replayed, "kraken", [PaperListing(spot, "XBT-USDT")], difference_bp=0)
    later_ms = NOW_MS + HOUR_MS
    page = ask(market=market, now_ms=later_ms, pair="XBTUSDT")["result"]["XBTUSDT"]
    assert 1000 * page[-1][0] == THIS_MINUTE_MS - MINUTE_MS
    assert [row[7] > 0 for row in page[-11:]] == [True, False, False] + [True] * 8
    assert page[-10][4] == page[-9][4] == page[-11][4]


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_documented_interval_but_15_days_is_served(interval):
    page = times(interval=interval)
    assert set(np.diff(page).tolist()) == {int(interval) * MINUTE_MS}
    assert page[-1] <= NOW_MS < page[-1] + int(interval) * MINUTE_MS


def test_a_pair_is_found_by_both_its_names_and_answers_to_the_first():
    for pair in ("XXBTZUSD", "XBTUSD"):
        assert len(ask(pair=pair)["result"]["XXBTZUSD"]) == 721
    assert len(rows(pair="XDGUSDT")) == 721


def test_pairs_and_assets_have_krakens_names():
    pairs, assets = ask("AssetPairs")["result"], ask("Assets")["result"]
    assert (pairs["XBTUSDT"]["base"], pairs["XBTUSDT"]["quote"], pairs["XBTUSDT"]["wsname"]) == (
        "XXBT",
        "USDT",
        "XBT/USDT",
    )
    assert (pairs["XXBTZUSD"]["altname"], pairs["XXBTZUSD"]["quote"]) == ("XBTUSD", "ZUSD")
    assert (assets["XXBT"]["altname"], assets["XXDG"]["altname"]) == ("XBT", "XDG")
    assert {p["base"] for p in pairs.values()} | {p["quote"] for p in pairs.values()} == set(assets)
    assert "PEPEUSDT" not in pairs


def test_the_status_has_the_recorded_shape(payload):
    assert shape(ask("SystemStatus")) == shape(payload("kraken/system_status.json")["body"])
    assert ask("Time")["result"]["unixtime"] == NOW_MS // 1000


@pytest.mark.parametrize(
    ("endpoint", "query", "error"),
    [
        ("OHLC", {}, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("OHLC", {"pair": "XBTUSDT", "interval": "7"}, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "XBTUSDT", "since": "yesterday"}, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "XBTUSDT", "since": "nan"}, "EGeneral:Invalid arguments"),
        ("Nothing", {}, "EGeneral:Unknown method"),
    ],
)
def test_wrong_questions_get_status_200_and_an_error(endpoint, query, error):
    body = ask(endpoint, **query)
    assert body["error"][0].startswith(error)
    assert "result" not in body


def test_who_asks_too_often_is_told_so_with_status_200():
    door = Doorkeeper(KrakenProtocol.house_rules)
    assert sum(door.refusal("me", 100 * k) is None for k in range(40)) == 15
    assert {door.refusal("me", 15_000 + 1000 * k) for k in range(60)} == {None}
    answer = KrakenProtocol().refusal(PaperRefusal(429, 0), NOW_MS)
    assert (answer.status, json.loads(answer.body)) == (200, {"error": ["EGeneral:Too many requests"]})

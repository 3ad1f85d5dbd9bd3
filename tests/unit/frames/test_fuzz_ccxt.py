"""Whatever a venue behind ccxt answers: a typed error, or a page on which each row is judged rightly."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.timeframes import TIMEFRAMES
from backfill.paper.binance_protocol import BinanceProtocol
from backfill.paper.bybit_protocol import BybitProtocol
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.okx_protocol import OkxProtocol
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources.candle_source import CandlePage
from unit.frames import hostile_payloads as hostile
from unit.frames import judged_pages as judge
from unit.frames.fuzzed_venues import FuzzedVenue

pytestmark = pytest.mark.long

SOURCES = ("okx", "bybit", "binanceusdm")
# Exact in floats. The last makes infinity of what is almost that.
SCALES = (1.0, 0.5, 1024.0)

OTHERS = ("bitget", "gate", "kucoinfutures", "hyperliquid", "binance", "kraken", "coinbase")

FUZZED = {source: FuzzedVenue(source) for source in (*SOURCES, *OTHERS)}


def ask(fuzzed: FuzzedVenue, price_scale: float = 1.0) -> CandlePage:
    return fuzzed.source(price_scale).ask("BTC-USDT", TIMEFRAMES["1m"], judge.CURSOR_MS)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("source", SOURCES)
def test_whatever_stands_in_a_cell_spoils_its_row_and_no_other(source, scale):
    fuzzed = FUZZED[source]
    fuzzed.exchange.says(hostile.json_bytes(fuzzed.envelope(hostile.every_cell_in_every_place(fuzzed.layout))))
    judge.assert_judged_rightly(ask(fuzzed, scale), fuzzed.layout, scale=scale, from_ms=fuzzed.from_ms)


@pytest.mark.parametrize("source", SOURCES)
@hostile.fuzz(100)
@given(data=st.data(), scale=st.sampled_from(SCALES), now_ms=hostile.clocks_ms)
def test_each_row_is_stored_running_broken_or_said_twice_and_none_spoils_the_others(source, data, scale, now_ms):
    fuzzed = FUZZED[source]
    rows = data.draw(hostile.rows(fuzzed.layout))
    fuzzed.exchange.says(hostile.json_bytes(fuzzed.envelope(rows)), now_ms=now_ms)
    page = ask(fuzzed, scale)
    assert len(page.rows) == len(rows)
    judge.assert_judged_rightly(page, fuzzed.layout, now_ms=now_ms, scale=scale, from_ms=fuzzed.from_ms)


@pytest.mark.parametrize("source", SOURCES)
@hostile.fuzz(100)
@given(data=st.data(), status=hostile.statuses, headers=hostile.headers)
def test_whatever_bytes_come_it_is_an_error_of_ours_or_a_page(source, data, status, headers):
    fuzzed = FUZZED[source]
    whole = (hostile.rows(fuzzed.layout) | hostile.json_values).map(fuzzed.envelope).map(hostile.json_bytes)
    fuzzed.exchange.says(data.draw(hostile.bodies(whole)), status=status, headers=headers)
    with hostile.only_errors_of_ours():
        page = ask(fuzzed)
        assert isinstance(page.rows, list)
        if page.server_ms is not None:
            judge.assert_judged_rightly(page, fuzzed.layout, now_ms=page.server_ms, from_ms=fuzzed.from_ms)


@pytest.mark.parametrize("source", OTHERS)
@hostile.fuzz(30)
@given(data=st.data(), now_ms=hostile.clocks_ms)
def test_of_any_venues_rows_none_that_is_wrong_is_sound_and_none_is_lost(source, data, now_ms):
    fuzzed = FUZZED[source]
    rows = data.draw(hostile.rows(fuzzed.layout) | hostile.named_rows(fuzzed.layout))
    fuzzed.exchange.says(hostile.json_bytes(fuzzed.envelope(rows)), now_ms=now_ms)
    page = ask(fuzzed)
    assert len(page.rows) == len(rows)
    judge.assert_none_is_wrong_or_lost(page, now_ms)


COINS = SyntheticMarket(coins=LIQUID_COINS[:1])
LISTS = {
    source: protocol.answer(COINS, "GET", path, query, judge.NOW_MS).body
    for source, protocol, path, query in (
        ("okx", OkxProtocol(), "/api/v5/public/instruments", {"instType": "SWAP"}),
        ("bybit", BybitProtocol(), "/v5/market/instruments-info", {"category": "linear"}),
        ("binanceusdm", BinanceProtocol(), "/fapi/v1/exchangeInfo", {}),
    )
}


@pytest.mark.parametrize("source", SOURCES)
@hostile.fuzz(30)
@given(data=st.data(), status=hostile.statuses)
def test_whatever_a_venue_says_that_it_lists_it_is_an_error_of_ours_or_a_list(source, data, status):
    fuzzed = FuzzedVenue(source, markets=())
    listed = hostile.spoilt_json(json.loads(LISTS[source]))
    fuzzed.exchange.says(data.draw(hostile.bodies(listed.map(hostile.json_bytes))), status=status)
    with hostile.only_errors_of_ours():
        for market in fuzzed.client.markets():
            told = json.dumps(market.as_dict(), allow_nan=False)
            assert "\\u0000" not in told  # which jsonb does not take, nor half of a surrogate pair
            assert "\\ud8" not in told

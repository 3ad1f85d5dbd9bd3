"""The markets of a venue: what is loaded, what is kept of it, and what a failure to load them costs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backfill.domain.markets import Market
from backfill.errors import BadPayload, ExchangeError, GeoBlocked
from unit.exchanges.canned_answers import Answer
from unit.exchanges.venue_markets import SINCE_MS, Asked, json_answer, okx, okx_row, refused


def okx_swap(**differing: Any) -> dict[str, Any]:
    whole = {
        "instType": "SWAP",
        "instId": "BTC-USDT-SWAP",
        "uly": "BTC-USDT",
        "instFamily": "BTC-USDT",
        "alias": "",
        "baseCcy": "",
        "quoteCcy": "",
        "settleCcy": "USDT",
        "ctVal": "0.01",
        "ctMult": "1",
        "ctValCcy": "BTC",
        "ctType": "linear",
        "listTime": "1573557408000",
        "expTime": "",
        "lever": "100",
        "tickSz": "0.1",
        "lotSz": "0.01",
        "minSz": "0.01",
        "state": "live",
        "category": "1",
        "optType": "",
        "stk": "",
    }
    return {**whole, **differing}


HALF_LISTED = {
    "instType": "OPTION",
    "instId": "BTC-USD-991231-1-C",
    "state": "preopen",
    "uly": "BTC-USD",
    "settleCcy": "BTC",
    "expTime": "4102358400000",
    "stk": "",
    "optType": "",
}


def test_markets_are_told_with_what_identifies_and_scales_them():
    asked = Asked("okx", json_answer({"code": "0", "data": [okx_swap()]}), markets=())
    (market,) = asked.client.markets()
    assert (market.venue_symbol, market.market_id, market.base, market.quote, market.settle) == (
        *("BTC/USDT:USDT", "BTC-USDT-SWAP"),
        *("BTC", "USDT", "USDT"),
    )
    assert (market.is_swap, market.is_spot, market.is_linear, market.is_inverse) == (True, False, True, False)
    assert (market.contract_size, market.is_active, market.listed_ms) == (0.01, True, 1_573_557_408_000)
    assert [request.url.split("/paper")[1] for request in asked.adapter.requests] == [
        "/api/v5/public/instruments?instType=SWAP"
    ]


def test_markets_once_told_can_be_kept_as_json_and_spare_the_question():
    first = Asked("okx", json_answer({"code": "0", "data": [okx_swap()]}), markets=())
    kept = json.loads(json.dumps([market.as_dict() for market in first.client.markets()]))
    again = Asked("okx", okx([okx_row(str(SINCE_MS))]), markets=tuple(Market(**one) for one in kept))
    assert again.candles(SINCE_MS).rows[0].volume == 10
    assert again.requests == 1
    assert again.client.markets() == first.client.markets()


@pytest.mark.parametrize("coin", ["\x00", "\ud800"])
def test_a_market_that_no_database_takes_is_left_out_and_the_others_are_not(coin):
    listed = [okx_swap(instId=f"{coin}-USDT-SWAP", uly=f"{coin}-USDT", instFamily=f"{coin}-USDT"), okx_swap()]
    markets = Asked("okx", json_answer({"code": "0", "data": listed}), markets=()).client.markets()
    assert [market.market_id for market in markets] == ["BTC-USDT-SWAP"]


def test_spot_is_loaded_only_where_it_may_stand_in():
    answer = json_answer({"code": "0", "data": [okx_swap()]})
    asked = Asked("okx", answer, markets=(), spot=True)
    asked.client.markets()
    assert sorted(request.url.split("instType=")[1] for request in asked.adapter.requests) == ["SPOT", "SWAP"]


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("bybit", ["/v5/market/instruments-info"]),
        ("binanceusdm", ["/fapi/v1/exchangeInfo"]),
        ("binance", ["/api/v3/exchangeInfo"]),
        ("gate", ["/api/v4/futures/usdt/contracts", "/api/v4/futures/btc/contracts"]),
        ("kucoinfutures", ["/api/v1/contracts/active"]),
        ("kraken", ["/0/public/AssetPairs"]),
        ("hyperliquid", ["/info"]),
    ],
)
def test_no_more_is_loaded_than_the_markets_we_may_use(source, paths):
    empty: Any = [] if source in ("gate", "hyperliquid") else {"retCode": 0, "code": "200000", "error": [], "data": []}
    if source in ("binance", "binanceusdm"):
        empty = {"symbols": []}
    asked = Asked(source, json_answer(empty), markets=())
    with pytest.raises(ExchangeError):
        asked.client.markets()
    assert (
        list(dict.fromkeys(request.url.split("/paper")[1].split("?")[0] for request in asked.adapter.requests)) == paths
    )


def test_a_list_of_no_markets_is_not_believed():
    with pytest.raises(BadPayload, match="no market"):
        Asked("binanceusdm", json_answer({"symbols": []}), markets=()).client.markets()


def test_a_market_listed_by_half_costs_its_requests_once_and_one_line():
    """ccxt #25762, #25904, #26043: one such instrument of OKX and `load_markets` raises TypeError for everyone."""
    listed = json_answer({"code": "0", "data": [okx_swap(), HALF_LISTED]})
    asked = Asked("okx", listed, markets=(), options={"fetchMarkets": {"types": ["option"]}})
    for _ in range(3):
        error = refused(asked)
        assert type(error) is BadPayload
        assert "TypeError" in str(error)
        assert "\n" not in str(error)
    assert (asked.requests, asked.naps_s) == (2, [])  # OKX lists options by their underlying, BTC and ETH


def test_a_block_found_while_loading_markets_is_not_met_again_by_every_page():
    asked = Asked("bybit", Answer(b"configured to block access from your country", 403), markets=())
    for _ in range(5):
        assert type(refused(asked)) is GeoBlocked
    assert asked.requests == 1


def test_threads_share_one_client_and_its_markets_and_each_question_is_counted():
    listed = json_answer({"code": "0", "data": [okx_swap()]})
    asked = Asked("okx", listed, okx([okx_row(str(SINCE_MS))]), markets=())
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: asked.candles(SINCE_MS), range(100)))
    assert all(answer.rows[0].open_ms == SINCE_MS for answer in answers)
    assert asked.client.requests_made == 101

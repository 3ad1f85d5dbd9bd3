"""Recorded answers of venues, read as ccxt 4.5.90 reads them, beside what is read of them elsewhere."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from backfill.domain.markets import Market
from backfill.domain.venues import venue
from reference import MADE, REAL
from unit.exchanges.canned_answers import Answer
from unit.exchanges.venue_markets import Asked, perpetual, spot


def rows_of(source: str, market: Market, timeframe: str, document: Any) -> list[list[Any]]:
    """All rows of one answer, oldest first, as ccxt gives them: six columns."""
    asked = Asked(venue(source), Answer(json.dumps(document).encode()), markets=(market,), spot=market.is_spot)
    answer = asked.client.candles(market.venue_symbol, timeframe, 1_500_000_000_000, 5000)
    return sorted([list(row[:6]) for row in answer.rows], key=lambda row: row[0])


def market_named(symbol: str, market_id: str) -> Market:
    base, _, rest = symbol.partition("/")
    quote, _, settle = rest.partition(":")
    return perpetual(base, quote, market_id=market_id) if settle else spot(base, quote, market_id=market_id)


@pytest.mark.parametrize("name", ["okx", "bybit", "binance", "gate"])
def test_answers_of_many_origins_are_read_as_ccxt_reads_them(payload, name):
    cases = payload(f"parsed/derived_{name}.json")["cases"]
    for case in cases:
        market = market_named(case["symbol"], case["market_id"])
        source = "binanceusdm" if (name, market.is_swap) == ("binance", True) else name
        assert rows_of(source, market, case["input"][1], case["httpResponse"]) == case["parsedResponse"]
    assert cases


def test_krakens_answer_is_read_whole_where_ccxt_would_cut_it(payload):
    for case in payload("parsed/kraken.json")["fetchOHLCV_response"]:
        rows = rows_of("kraken", spot("BTC", market_id="XBTUSDT"), "1h", case["httpResponse"])
        since_ms, limit = case["input"][2:]
        assert [row for row in rows if row[0] >= since_ms][:limit] == case["parsedResponse"]
        assert len(rows) == len(case["httpResponse"]["result"]["XBTUSDT"])


def test_kucoins_volume_is_in_contracts(payload):
    for case in payload("parsed/kucoin.json")["fetchOHLCV_response"]:
        market = perpetual("BTC", market_id="XBTUSDTM", contractSize=0.001)
        assert rows_of("kucoinfutures", market, "1h", case["httpResponse"]) == case["parsedResponse"]


@pytest.mark.parametrize(
    ("source", "name", "market", "timeframe", "columns"),
    [
        ("okx", "okx/klines_okx_perpetual_hummingbot", perpetual("BTC", market_id="BTC-USDT-SWAP"), "1h", 6),
        ("okx", "okx/klines_okx_spot_hummingbot", spot("BTC", market_id="BTC-USDT"), "1h", 5),
        ("okx", "okx/candles_swap_1m_2rows", perpetual("BTC", market_id="BTC-USDT-SWAP"), "1m", 6),
        ("bybit", "bybit/klines_bybit_spot_hummingbot", spot("BTC"), "1h", 5),
        ("bybit", "bybit/kline_linear_testnet_D", perpetual("BTC"), "1d", 5),
        ("bybit", "bybit/kline_spot_1d_1row", spot("BTC"), "1d", 5),
        ("binance", "binance/klines_binance_spot_hummingbot", spot("BTC"), "1h", 5),
        ("binanceusdm", "binance/klines_binance_perpetual_hummingbot", perpetual("BTC"), "1h", 5),
    ],
)
def test_recorded_rows_are_the_numbers_that_were_told(payload, source, name, market, timeframe, columns):
    """``columns``: the place of the base volume."""
    document = payload(f"{name}.json")["body"]
    raw = document
    for key in venue(source).rows_at or ():
        raw = raw[key]
    expected = [[int(row[0]), *(float(cell) for cell in (*row[1:5], row[columns]))] for row in raw]
    assert rows_of(source, market, timeframe, document) == sorted(expected)


COINBASE_HOURS = {
    MADE: [
        [1_717_200_000_000, 50000.01, 50150.0, 49950.25, 50100.02, 64.125],
        [1_717_203_600_000, 50100.02, 50250.5, 50050.0, 50200.75, 12.00100001],
    ],
    REAL: [
        [1_712_188_800_000, 65984.18, 66387.77, 65857.35, 66314.59, 358.74851052],
        [1_712_192_400_000, 66312.4, 66331.99, 66055.14, 66181.6, 355.82896243],
    ],
}


def test_coinbases_answer_is_read_by_its_names(payload):
    document = payload("coinbase/candles_1h_2rows.json")["body"]
    rows = rows_of("coinbase", spot("BTC", "USD", market_id="BTC-USD"), "1h", document)
    assert rows == COINBASE_HOURS[payload.origin]


@pytest.mark.parametrize(
    ("source", "name", "market", "timeframe", "quote_column"),
    [
        ("okx", "okx/klines_okx_perpetual_hummingbot", perpetual("BTC", market_id="BTC-USDT-SWAP"), "1h", 7),
        ("bybit", "bybit/kline_linear_testnet_D", perpetual("BTC"), "1d", 6),
        ("binanceusdm", "binance/klines_binance_perpetual_hummingbot", perpetual("BTC"), "1h", 7),
    ],
)
def test_quote_volume_is_what_was_paid(payload, source, name, market, timeframe, quote_column):
    document = payload(f"{name}.json")["body"]
    answer = Asked(source, Answer(json.dumps(document).encode()), markets=(market,)).client.candles(
        market.venue_symbol, timeframe, 1_500_000_000_000, 100
    )
    for row in answer.rows:
        assert float(row.quote_volume) == float(row.raw[quote_column])
        assert row.low * 0.999 <= float(row.quote_volume) / row.volume <= row.high * 1.001


def test_krakens_721_rows_are_all_read_and_flat_where_nobody_traded(payload):
    document = payload("kraken/ohlc_XBTUSDT_1m_721.json")["body"]
    rows = rows_of("kraken", spot("BTC", market_id="XBTUSDT"), "1m", document)
    assert len(rows) == 721
    silent = [row for row in rows if row[5] == 0]
    assert len(silent) == 216
    assert all(row[1] == row[2] == row[3] == row[4] for row in silent)
    assert {later[0] - sooner[0] for sooner, later in pairwise(rows)} == {60_000}

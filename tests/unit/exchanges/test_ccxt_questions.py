"""What goes over the wire when ccxt is asked, venue by venue: one page, from where we said, to where we said."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from backfill.domain.timeframes import HOUR_MS, MINUTE_MS, TIMEFRAMES
from backfill.domain.venues import VENUES, venue
from backfill.errors import RequestRefused, SymbolNotListed
from unit.exchanges.canned_answers import Answer
from unit.exchanges.venue_markets import BASE_URL, Asked, perpetual

BEHIND_CCXT = [name for name, known in VENUES.items() if known.client == "ccxt"]

SINCE_MS = 1_700_000_040_000
END_MS = SINCE_MS + 10 * MINUTE_MS
KEYS = {"api_key": "key", "api_secret": "s3cret"}
NO_ROWS: dict[str, Any] = {
    "okx": {"code": "0", "msg": "", "data": []},
    "bybit": {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": []}, "time": 0},
    "binanceusdm": [],
    "bitget": {"code": "00000", "msg": "success", "data": []},
    "gate": [],
    "kucoinfutures": {"code": "200000", "data": []},
    "hyperliquid": [],
    "mexc": {
        "success": True,
        "code": 0,
        "data": {name: [] for name in ("time", "open", "high", "low", "close", "vol")},
    },
    "binance": [],
    "kraken": {"error": [], "result": {"XBTUSDT": [], "last": 0}},
    "coinbase": {"candles": []},
}


def nothing_at(source: str) -> Answer:
    return Answer(json.dumps(NO_ROWS[source]).encode())


def told(asked: Asked) -> tuple[str, dict[str, Any]]:
    """Path and parameters of the one request."""
    (request,) = asked.adapter.requests
    url = urlsplit(request.url)
    assert f"{url.scheme}://{url.netloc}" == "http://127.0.0.1:8900"
    params = json.loads(request.body)["req"] if request.body else dict(parse_qsl(url.query, strict_parsing=True))
    return url.path, params


@pytest.mark.parametrize(
    ("source", "path", "expected"),
    [
        (
            "okx",
            "/api/v5/market/history-candles",
            {"instId": "BTC-USDT-SWAP", "bar": "1m", "limit": "10", "before": f"{SINCE_MS - 1}", "after": f"{END_MS}"},
        ),
        (
            "bybit",
            "/v5/market/kline",
            {
                "category": "linear",
                "symbol": "BTCUSDT",
                "interval": "1",
                "limit": "10",
                "start": f"{SINCE_MS}",
                "end": f"{END_MS - 1}",
            },
        ),
        (
            "binanceusdm",
            "/fapi/v1/klines",
            {
                "symbol": "BTCUSDT",
                "interval": "1m",
                "limit": "10",
                "startTime": f"{SINCE_MS}",
                "endTime": f"{END_MS - 1}",
            },
        ),
        (
            "bitget",  # `since` is exclusive: one bar more
            "/api/v2/mix/market/history-candles",
            {
                "symbol": "BTCUSDT",
                "granularity": "1m",
                "productType": "USDT-FUTURES",
                "limit": "11",
                "startTime": f"{SINCE_MS - MINUTE_MS}",
                "endTime": f"{END_MS}",
            },
        ),
        (
            "gate",  # `to` is inclusive
            "/api/v4/futures/usdt/candlesticks",
            {
                "contract": "BTC_USDT",
                "interval": "1m",
                "from": f"{SINCE_MS // 1000}",
                "to": f"{END_MS // 1000 - 60}",
            },
        ),
        (
            "kucoinfutures",  # `since` is exclusive: one bar more
            "/api/v1/kline/query",
            {"symbol": "XBTUSDTM", "granularity": "1", "from": f"{SINCE_MS - MINUTE_MS}", "to": f"{END_MS}"},
        ),
        (
            "hyperliquid",
            "/info",
            {"coin": "BTC", "interval": "1m", "startTime": SINCE_MS, "endTime": END_MS - 1},
        ),
        (
            "mexc",
            "/api/v1/contract/kline/BTC_USDT",
            {
                "interval": "Min1",
                "start": f"{SINCE_MS // 1000}",
                "end": f"{END_MS // 1000 - 1}",
                "until": f"{END_MS - 1}",  # ccxt's own, which MEXC does not know
            },
        ),
        (
            "binance",
            "/api/v3/klines",
            {
                "symbol": "BTCUSDT",
                "interval": "1m",
                "limit": "10",
                "startTime": f"{SINCE_MS}",
                "endTime": f"{END_MS - 1}",
            },
        ),
        ("kraken", "/0/public/OHLC", {"pair": "XBTUSDT", "interval": "1", "since": f"{SINCE_MS // 1000 - 60}"}),
        (
            "coinbase",
            "/api/v3/brokerage/market/products/BTC-USD/candles",
            {"granularity": "ONE_MINUTE", "start": f"{SINCE_MS // 1000}", "end": f"{END_MS // 1000 - 1}"},
        ),
    ],
)
def test_ten_minutes_are_asked_for_from_the_minute_named_to_the_minute_named(source, path, expected):
    asked = Asked(source, nothing_at(source))
    answer = asked.candles(SINCE_MS, limit=10)
    assert told(asked) == (f"/paper{path}", expected)
    assert answer.rows == []
    assert answer.covers_ms == (SINCE_MS, END_MS)


@pytest.mark.parametrize("source", BEHIND_CCXT)
def test_no_more_is_asked_for_than_the_venue_gives_at_once(source):
    asked = Asked(source, nothing_at(source))
    step_ms = TIMEFRAMES["1h"].step_ms
    start_ms = 1_700_000_000_000 // HOUR_MS * HOUR_MS
    span = asked.candles(start_ms, limit=1_000_000, timeframe="1h").covers_ms
    assert span == (start_ms, start_ms + VENUES[source].rows("1h") * step_ms)
    assert int(told(asked)[1].get("limit", 1)) <= 1000


@pytest.mark.parametrize("source", BEHIND_CCXT)
def test_not_even_a_long_page_is_more_than_one_request(source):
    asked = Asked(source, nothing_at(source))
    asked.candles(limit=5000)
    assert asked.requests == 1


@pytest.mark.parametrize(("timeframe", "bar"), [("1d", "1Dutc"), ("6h", "6Hutc"), ("1w", "1Wutc"), ("1h", "1H")])
def test_okx_is_asked_for_days_of_utc(timeframe, bar):
    asked = Asked("okx", nothing_at("okx"))
    asked.candles(timeframe=timeframe)
    assert told(asked)[1]["bar"] == bar


def test_hyperliquid_is_asked_for_a_coin_in_its_own_spelling():
    thousands = perpetual("KPEPE", "USDC", market_id="15", baseName="kPEPE")
    asked = Asked("hyperliquid", nothing_at("hyperliquid"), markets=(thousands,))
    asked.client.candles("KPEPE/USDC:USDC", "1m", SINCE_MS, 10)
    assert told(asked)[1]["coin"] == "kPEPE"


@pytest.mark.parametrize("source", BEHIND_CCXT)
def test_without_a_base_url_the_venue_itself_is_asked_over_https(source):
    asked = Asked(source, nothing_at(source), base_url=None)
    asked.candles()
    url = urlsplit(asked.adapter.requests[0].url)
    homes = {"okx": "okx.com", "gate": "gateio.ws", "hyperliquid": "hyperliquid.xyz"}
    home = homes.get(source, source.removesuffix("usdm").removesuffix("futures") + ".com")
    assert url.scheme == "https"
    assert url.netloc.endswith(home)


def test_a_request_to_another_address_than_the_base_url_is_never_sent():
    asked = Asked("binanceusdm", nothing_at("binanceusdm"))
    asked.candles()
    exchange = asked.client._exchange
    exchange.urls["api"]["fapiPublic"] = "https://fapi.binance.com/fapi/v1"
    with pytest.raises(RequestRefused, match="was not asked"):
        asked.candles()
    with pytest.raises(RequestRefused, match="was not asked"):  # a host that only begins like ours
        exchange.fetch(f"{BASE_URL}.evil.example/fapi/v1/klines")
    assert asked.requests == 1


@pytest.mark.parametrize("source", BEHIND_CCXT)
def test_with_a_base_url_no_address_of_the_venue_is_left(source):
    asked = Asked(source, nothing_at(source), base_url="http://127.0.0.1:8900/")
    asked.candles()

    def addresses(urls: Any) -> list[str]:
        return [url for value in urls.values() for url in addresses(value)] if isinstance(urls, dict) else [urls]

    left = addresses(asked.client._exchange.urls["api"])
    assert left
    assert all(url.split("/")[:3] == ["http:", "", "127.0.0.1:8900"] for url in left)


def test_keys_and_options_reach_ccxt_only_if_given():
    asked = Asked("okx", nothing_at("okx"))
    asked.candles()
    assert not asked.client._exchange.apiKey
    with_key = Asked("okx", nothing_at("okx"), options={"brokerId": "x"}, **KEYS)
    with_key.candles()
    exchange = with_key.client._exchange
    assert (exchange.apiKey, exchange.secret, exchange.options["brokerId"]) == ("key", "s3cret", "x")
    assert "OK-ACCESS-KEY" not in with_key.adapter.requests[0].headers  # candles are public


def test_a_proxy_and_a_time_out_reach_the_socket():
    proxies = {"http": "socks5h://127.0.0.1:1080", "https": "socks5h://127.0.0.1:1080"}
    asked = Asked("okx", nothing_at("okx"), proxies=proxies, timeout_s=7)
    asked.candles()
    (options,) = asked.adapter.options
    assert dict(options["proxies"]) == proxies
    assert (options["timeout"], options["verify"]) == (7, True)


def test_the_connections_proxy_wins_over_the_environments(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://elsewhere.example:3128")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    asked = Asked("okx", nothing_at("okx"), proxies={"http": "http://127.0.0.1:3128"})
    asked.candles()
    assert dict(asked.adapter.options[0]["proxies"]) == {"http": "http://127.0.0.1:3128"}


def test_neither_an_unlisted_symbol_nor_a_timeframe_off_our_grid_costs_a_request():
    asked = Asked("gate", nothing_at("gate"))
    with pytest.raises(SymbolNotListed, match="DOGE"):
        asked.client.candles("DOGE/USDT:USDT", "1m", SINCE_MS, 10)
    with pytest.raises(RequestRefused, match="1w"):
        asked.candles(timeframe="1w")
    assert asked.requests == 0


def test_a_venue_that_only_ccxt_knows_can_be_asked():
    rows = [[SINCE_MS, 1, 2, 3, 0.5, 10]]  # open, close, high, low
    asked = Asked(venue("bitfinex"), Answer(json.dumps(rows).encode()), markets=(perpetual("BTC", market_id="tBTCF0"),))
    answer = asked.candles(SINCE_MS, limit=1000)
    assert told(asked)[1]["limit"] == "100"
    assert list(answer.rows[0][:6]) == [SINCE_MS, 1, 3, 0.5, 2, 10]

"""Unmodified ccxt clients against the paper exchanges: what they load and fetch is the market, row by row."""

from __future__ import annotations

import ccxt
import pytest

from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.domain.venues import venue
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.paper.coins import LIQUID_COINS, MULTIPLIED_COINS
from backfill.paper.limits import NO_LIMITS
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import TRAPS, paper_exchange
from waiting import PATIENCE_S

MARKET = SyntheticMarket(coins=[*LIQUID_COINS, *MULTIPLIED_COINS], quiet_share=0.1)
WALKED_MINUTES = 3000
TYPES = {"okx": ["spot", "swap"], "bybit": ["spot", "linear"], "binance": ["spot", "linear"]}

# venue, ccxt's symbol, our own for it, rows a page
WALKS = [
    ("blofin", "BTC/USDT:USDT", "BTC-USDT", 1440),
    ("okx", "BTC/USDT:USDT", "BTC-USDT", 300),
    ("okx", "BTC/USDT", "BTC-USDT-SPOT", 300),
    ("okx", "BONK/USDT:USDT", "BONK-USDT", 300),
    ("bybit", "BTC/USDT:USDT", "BTC-USDT", 1000),
    ("bybit", "SHIB1000/USDT:USDT", "SHIB1000-USDT", 1000),
    ("bybit", "ETH/USDT", "ETH-USDT-SPOT", 1000),
    ("binance", "BTC/USDT", "BTC-USDT-SPOT", 1000),
    ("binance", "1MBABYDOGE/USDT:USDT", "1MBABYDOGE-USDT", 1000),
    ("binanceusdm", "BTC/USDT:USDT", "BTC-USDT", 1000),
    ("binanceusdm", "1000PEPE/USDT:USDT", "1000PEPE-USDT", 1000),
    ("binanceusdm", "1000SATS/USDT:USDT", "1000SATS-USDT", 1000),
]


def api_urls(name, base):
    """Where each client looks for its exchange's public API."""
    binance = {"public": f"{base}/api/v3", "fapiPublic": f"{base}/fapi/v1", "dapiPublic": f"{base}/dapi/v1"}
    return {
        "blofin": {"rest": base},
        "okx": {"rest": base},
        "bybit": {"public": base},
        "binance": binance,
        "binanceusdm": {"fapiPublic": f"{base}/fapi/v1"},
        "kraken": {"public": base},
    }[name]


def connected(name, exchange, **config):
    options = {"fetchMarkets": {"types": TYPES[name]}} if name in TYPES else {}
    settings = {"urls": {"api": api_urls(name, exchange.url)}, "enableRateLimit": False, "options": options, **config}
    return getattr(ccxt, name)(settings)


@pytest.fixture(scope="module")
def running():
    """The paper exchange and the loaded client of each venue asked for."""
    known = {}

    def get(name):
        if name not in known:
            exchange = paper_exchange(name, MARKET, limits=NO_LIMITS, traps=("usdc",)).start()
            client = connected(name, exchange)
            client.load_markets()
            known[name] = (exchange, client)
        return known[name]

    yield get
    for exchange, _ in known.values():
        exchange.stop()


def walk(client, symbol, timeframe, step_ms, start_ms, end_ms, limit):
    rows, since_ms = [], start_ms
    while since_ms < end_ms:
        page = client.fetch_ohlcv(symbol, timeframe, since_ms, min(limit, (end_ms - since_ms) // step_ms))
        assert page, f"nothing from {since_ms} on"
        rows += page
        since_ms = page[-1][0] + step_ms
    return rows


def market_rows(exchange, symbol, timeframe, start_ms, end_ms):
    return [list(row)[:6] for row in exchange.market.candles(symbol, timeframe, start_ms, end_ms).tolist()]


@pytest.mark.parametrize(("name", "unified", "symbol", "limit"), WALKS)
def test_a_walk_over_thousands_of_minutes_gives_the_markets_rows(running, name, unified, symbol, limit):
    exchange, client = running(name)
    end_ms = exchange.clock() // MINUTE_MS * MINUTE_MS
    start_ms = end_ms - WALKED_MINUTES * MINUTE_MS
    exchange.reset_counts()
    rows = walk(client, unified, "1m", MINUTE_MS, start_ms, end_ms, limit)
    assert rows == market_rows(exchange, symbol, "1m", start_ms, end_ms)
    assert exchange.requests.by_symbol == {symbol: -(-WALKED_MINUTES // limit)}


@pytest.mark.parametrize(
    ("name", "unified", "symbol"),
    [
        ("okx", "BTC/USDT:USDT", "BTC-USDT"),
        ("bybit", "BTC/USDT:USDT", "BTC-USDT"),
        ("binanceusdm", "BTC/USDT:USDT", "BTC-USDT"),
        ("kraken", "BTC/USDT", "BTC-USDT-SPOT"),
    ],
)
@pytest.mark.parametrize(("timeframe", "step_ms"), [("1h", HOUR_MS), ("1d", DAY_MS), ("1w", 7 * DAY_MS)])
def test_longer_bars_open_in_utc_and_are_the_markets(running, name, unified, symbol, timeframe, step_ms):
    exchange, client = running(name)
    now_ms = exchange.clock()
    # From an open time: ccxt rounds `since` up to whole weeks of the epoch, Thursdays, and then drops Bybit's Monday.
    since_ms = timeframe_named(timeframe).ceil(now_ms - 20 * step_ms)
    rows = client.fetch_ohlcv(unified, timeframe, since_ms, 10)
    assert len(rows) == 10
    assert rows == market_rows(exchange, symbol, timeframe, rows[0][0], rows[-1][0] + 1)


@pytest.mark.parametrize(("name", "unified"), [("okx", "BTC/USDT:USDT"), ("bybit", "BTC/USDT:USDT"),
                                               ("binanceusdm", "BTC/USDT:USDT")])  # fmt: skip
def test_our_client_gets_the_week_that_it_asks_for_first(running, name, unified):
    """ccxt rounds `since` up to the epoch's Thursday and drops Bybit's Monday before it; our client keeps every row."""
    exchange, _ = running(name)
    week = timeframe_named("1w")
    since_ms = week.floor(exchange.clock()) - 20 * week.step_ms
    client = CcxtClient(venue(name), base_url=exchange.url, timeout_s=PATIENCE_S)
    answer = client.candles(unified, "1w", since_ms, 10)
    client.close()
    assert sorted(row.open_ms for row in answer.rows) == [since_ms + k * week.step_ms for k in range(10)]
    assert answer.covers_ms == (since_ms, since_ms + 10 * week.step_ms)


def test_kraken_gives_its_newest_720_minutes_and_the_running_one_however_far_back_one_asks(running):
    exchange, client = running("kraken")
    for unified, symbol in (
        ("BTC/USDT", "BTC-USDT-SPOT"),
        ("BTC/USD", "BTC-USD-SPOT"),
        ("DOGE/USDT", "DOGE-USDT-SPOT"),
    ):
        end_ms = exchange.clock() // MINUTE_MS * MINUTE_MS
        rows = client.fetch_ohlcv(unified, "1m", end_ms - WALKED_MINUTES * MINUTE_MS)
        assert len(rows) == 721
        ended = [row for row in rows if row[0] < end_ms]
        assert ended == market_rows(exchange, symbol, "1m", ended[0][0], end_ms)
        since_ms = end_ms - 10 * MINUTE_MS
        assert client.fetch_ohlcv(unified, "1m", since_ms, 5) == market_rows(
            exchange, symbol, "1m", since_ms, since_ms + 5 * MINUTE_MS
        )


def test_markets_have_their_class_their_size_and_their_twins(running):
    markets = {name: running(name)[1].markets for name in ("okx", "bybit", "binance", "binanceusdm", "kraken")}
    for name, listed in markets.items():
        if name == "kraken":
            assert not [m for m in listed.values() if m["swap"]]
            continue
        btc = listed["BTC/USDT:USDT"]
        assert (btc["swap"], btc["linear"], btc["settle"], btc["active"]) == (True, True, "USDT", True)
        assert btc["contractSize"] == (0.01 if name == "okx" else 1)
        assert listed["BTC/USDC:USDC"]["settle"] == "USDC"
        assert ("BTC/USDT" in listed) is (name != "binanceusdm")
    assert markets["bybit"]["SHIB1000/USDT:USDT"]["base"] == "SHIB1000"
    assert markets["okx"]["PEPE/USDT:USDT"]["contractSize"] == 10_000_000


def test_the_server_time_is_the_exchanges(running):
    for name in ("okx", "bybit", "binance", "binanceusdm", "kraken"):
        exchange, client = running(name)
        assert abs(client.fetch_time() - exchange.clock()) < 5000


def test_half_announced_instruments_of_okx_break_load_markets_unless_the_types_are_restricted():
    with paper_exchange("okx", MARKET, traps=TRAPS) as exchange:
        restricted = connected("okx", exchange)
        assert "BTC/USDT:USDT" in restricted.load_markets()
        everything = connected("okx", exchange, options={})
        with pytest.raises(TypeError):
            everything.load_markets()


# What CCXT.md of the project's notes saw, and what our client must tell apart.
@pytest.mark.parametrize(
    ("name", "fault", "error"),
    [
        ("okx", "closed", ccxt.NetworkError),
        ("okx", "limited", ccxt.RateLimitExceeded),
        ("bybit", "geo_block", ccxt.RateLimitExceeded),
        ("binanceusdm", "restricted", ccxt.ExchangeNotAvailable),
        ("binanceusdm", "limited_7s", ccxt.DDoSProtection),
        ("binanceusdm", "banned", ccxt.DDoSProtection),
        ("kraken", "limited", ccxt.DDoSProtection),
        ("kraken", "error_503", ccxt.ExchangeNotAvailable),
        ("bybit", "cut", ccxt.NetworkError),
    ],
)
def test_faults_are_the_errors_they_are_of_the_real_exchanges(running, name, fault, error):
    exchange, client = running(name)
    symbol = next(iter(client.markets))
    exchange.faults.on(fault)
    try:
        with pytest.raises(error):
            client.fetch_ohlcv(symbol, "1m", limit=5)
    finally:
        exchange.faults.off()


@pytest.mark.parametrize("name", ["okx", "bybit", "binanceusdm", "kraken"])
@pytest.mark.parametrize("fault", ["html", "half_json"])
def test_what_is_not_json_is_no_error_to_ccxt_but_no_data_or_with_binance_nonsense(running, name, fault):
    """Of Binance's answer ccxt 4.5.90 takes every character for a row: a digit becomes a time of 1970."""
    exchange, client = running(name)
    symbol = next(iter(client.markets))
    exchange.faults.on(fault)
    try:
        rows = client.fetch_ohlcv(symbol, "1m", limit=5)
    finally:
        exchange.faults.off()
    assert [row for row in rows if (row[0] or 0) >= 10 or row[1:] != [None] * 5] == []
    assert bool(rows) is (name == "binanceusdm")


def test_a_hanging_exchange_is_a_time_out(running):
    exchange, client = running("okx")
    exchange.faults.on("hanging")
    client.timeout = 200
    try:
        with pytest.raises(ccxt.RequestTimeout):
            client.fetch_ohlcv("BTC/USDT:USDT", "1m", limit=5)
    finally:
        exchange.faults.off()
        client.timeout = 10_000

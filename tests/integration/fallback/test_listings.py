"""Which market of a venue is the instrument: scaled if of another denomination, refused if it is another thing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import cast

import pytest

from backfill.config.connections import SourceConnection, source_from_environment
from backfill.config.settings import Settings
from backfill.domain.markets import Market
from backfill.domain.timeframes import TIMEFRAMES
from backfill.domain.venues import venue
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.paper.server import PaperExchange
from backfill.paper.venue_market import VenueMarket
from backfill.sources.runtime import Runtime
from backfill.sources.venue_markets import VenueMarkets
from backfill.storage.candle_store import CandleStore
from backfill.storage.source_health import SourceHealth
from integration.exchange import punch
from integration.fallback.conftest import MARKET, Open, Venues
from integration.fallback.fills import assert_near_native, listing, run, sources_stored, want
from integration.helpers import HOUR_MS, MINUTE_MS, one, opens, rows

SHARES = {"okx": 1.4, "bybit": 1.8, "binanceusdm": 2.6}  # of the primary source's volume, on paper
PAIRS = [
    ("PEPE-USDT", "okx", "PEPE/USDT:USDT", 1.0),
    ("PEPE-USDT", "bybit", "1000PEPE/USDT:USDT", 1e-3),
    ("PEPE-USDT", "binanceusdm", "1000PEPE/USDT:USDT", 1e-3),
    ("SHIB-USDT", "okx", "SHIB/USDT:USDT", 1.0),
    ("SHIB-USDT", "bybit", "SHIB1000/USDT:USDT", 1e-3),
    ("SHIB-USDT", "binanceusdm", "1000SHIB/USDT:USDT", 1e-3),
    ("1000BONK-USDT", "okx", "BONK/USDT:USDT", 1e3),
    ("1000BONK-USDT", "bybit", "1000BONK/USDT:USDT", 1.0),
    ("1000BONK-USDT", "binanceusdm", "1000BONK/USDT:USDT", 1.0),
    ("10000SATS-USDT", "bybit", "10000SATS/USDT:USDT", 1.0),
    ("10000SATS-USDT", "binanceusdm", "1000SATS/USDT:USDT", 10.0),
    ("1000000BABYDOGE-USDT", "bybit", "1000000BABYDOGE/USDT:USDT", 1.0),
    ("1000000BABYDOGE-USDT", "binanceusdm", "1MBABYDOGE/USDT:USDT", 1.0),
]
LOAD_OF_BYBIT = 3  # requests: ccxt asks for each state of a market


@pytest.mark.parametrize("source", SHARES)
def test_coins_of_another_denomination_are_stored_in_ours(store: CandleStore, venues: Venues, source: str) -> None:
    """Price, base volume and quote volume are the primary source's, but for the venue's own difference and share."""
    pairs = [pair for pair in PAIRS if pair[1] == source]
    windows = [want(store, symbol, sources=("blofin", source)) for symbol, *_ in pairs]
    run(venues, windows, only=["blofin"])
    for window in windows:
        punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))

    reports = run(venues, windows, leave_out=["blofin"])

    assert [(report.status, report.sources) for report in reports] == [("complete", {source: 60})] * len(pairs)
    for window, (symbol, _, venue_symbol, scale) in zip(windows, pairs, strict=True):
        known = listing(store, symbol, source)
        assert (known["status"], known["venue_symbol"], known["proved_by"]) == ("proved", venue_symbol, "primary")
        assert known["price_scale"] == pytest.approx(scale, rel=1e-12)
        last_hour = range(window.end_ms - HOUR_MS, window.end_ms, MINUTE_MS)
        assert_near_native(store, window, volume_share=SHARES[source], opens_ms=last_hour)


def test_a_client_that_one_series_is_done_with_asks_for_the_next_one(store: CandleStore, venues: Venues) -> None:
    """It forgets the first market, and each source counts its own requests."""
    windows = [want(store, symbol) for symbol in ("BTC-USDT", "ETH-USDT")]
    run(venues, windows, only=["okx"])
    closes = []
    with venues.open_runtime() as runtime:
        for window in windows:
            (known,) = store.listings.known(window.symbol, store.source_id("okx"))
            market = Market(**known.market) if known.market else None
            source = runtime.candle_source(venue("okx"), known.listing, market, "1m")
            page = source.ask(window.symbol, TIMEFRAMES["1m"], window.end_ms)
            closes.append(page.candles["close"].mean())
            assert source.requests_made == 1
            source.close()
            source.close()
    assert closes[0] > 10 * closes[1]


def test_the_markets_of_a_venue_are_loaded_once_for_all_symbols(store: CandleStore, venues: Venues) -> None:
    windows = [want(store, symbol) for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT")]
    run(venues, windows, only=["blofin"])
    for window in windows:
        punch(store, window, [window.end_ms - HOUR_MS])
    run(venues, windows, only=["bybit"])

    assert venues["bybit"].requests.by_route["/v5/market/instruments-info"] == LOAD_OF_BYBIT
    # One page proves a listing, one fills the gap.
    assert venues["bybit"].requests.by_route["/v5/market/kline"] == 2 * len(windows)
    attempts = rows(store.connection, "SELECT outcome, sum(requests) FROM backfill.source_attempts "
                    "WHERE fill_run_id IS NULL GROUP BY 1 ORDER BY 1")  # fmt: skip
    assert attempts == [("candles", 4), ("markets", LOAD_OF_BYBIT)]


@pytest.mark.parametrize(
    ("symbol", "traps", "tampered", "reason"),
    [
        ("WIF-USDT", ["collision"], None, "another coin, or another multiplier"),
        ("PEPE-USDT", ["twice"], "PEPE-USDT", "another coin, or another multiplier"),
        ("TSLA-USDT", [], None, "a stock, a metal or an index"),
    ],
)
def test_what_is_not_the_instrument_is_refused_with_a_reason_and_stores_nothing(
    store: CandleStore, venues: Venues, opened: Open, symbol: str, traps: list[str], tampered: str | None, reason: str
) -> None:
    exchange = opened("okx", traps=traps)
    if tampered is not None:
        _quote_by_the_thousand(exchange, tampered)
    venues.replace("okx", exchange)
    window = want(store, symbol, sources=("blofin", "okx"))
    run(venues, [window], only=["blofin"])
    punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))

    (report,) = run(venues, [window], leave_out=["blofin"])

    assert (report.status, report.missing_after) == ("failed", 60)
    assert reason in str(report.error)
    assert set(sources_stored(store, window)) == {"blofin"}
    known = listing(store, symbol, "okx")
    assert known["status"] == "refused"
    assert reason in known["reason"]
    venues.forget_counts()
    assert reason in str(run(venues, [window], leave_out=["blofin"])[0].error)
    assert venues.asked("okx") == 0  # not again for a day


def test_an_inverse_instrument_has_no_fallback_and_costs_no_question(store: CandleStore, venues: Venues) -> None:
    window = want(store, sources=("blofin", "okx"))
    store.connection.execute("UPDATE backfill.instruments SET contract_type = 'inverse', settle_currency = 'BTC'")

    (report,) = run(venues, [window], leave_out=["blofin"])

    assert (report.status, venues.asked("okx")) == ("failed", 0)
    assert "no linear contract" in listing(store, "BTC-USDT", "okx")["reason"]
    assert one(store.connection, "SELECT count(*) FROM backfill.source_health") == 0  # it was not asked, so not well


def test_an_inverse_or_usdc_twin_is_not_taken_for_the_instrument(
    store: CandleStore, venues: Venues, opened: Open
) -> None:
    for name in ("okx", "bybit", "binanceusdm"):
        venues.replace(name, opened(name, traps=["inverse", "usdc"]))
    window = want(store)
    run(venues, [window], only=["blofin"])
    for name in ("okx", "bybit", "binanceusdm"):
        punch(store, window, [window.end_ms - HOUR_MS])
        assert run(venues, [window], only=[name])[0].sources == {name: 1}
        assert listing(store, "BTC-USDT", name)["venue_symbol"] == "BTC/USDT:USDT"


def test_a_listing_is_proved_anew_when_the_instruments_multiplier_changes(store: CandleStore, venues: Venues) -> None:
    window = want(store, "PEPE-USDT", sources=("blofin", "okx"))
    run(venues, [window], only=["blofin"])
    punch(store, window, [window.end_ms - HOUR_MS])
    run(venues, [window], leave_out=["blofin"])
    checked = "SELECT checked_at FROM backfill.listings"
    first = one(store.connection, checked)
    punch(store, window, [window.end_ms - HOUR_MS])
    run(venues, [window], leave_out=["blofin"])
    assert one(store.connection, checked) == first

    store.connection.execute("UPDATE backfill.instruments SET contract_value = 1000")
    store.connection.execute("UPDATE backfill.candles SET close = close * 1000, high = high * 1000")  # as if by 1000
    punch(store, window, [window.end_ms - HOUR_MS])
    (report,) = run(venues, [window], leave_out=["blofin"])

    assert (report.rows_inserted, listing(store, "PEPE-USDT", "okx")["status"]) == (0, "refused")
    assert one(store.connection, checked) > first


def test_a_refusal_does_not_outlive_the_multiplier_it_was_made_for(store: CandleStore, venues: Venues) -> None:
    window = want(store, "PEPE-USDT", sources=("blofin", "okx"))
    run(venues, [window], only=["blofin"])
    store.connection.execute("UPDATE backfill.candles SET close = close * 1000, high = high * 1000")
    punch(store, window, [window.end_ms - HOUR_MS])
    assert run(venues, [window], leave_out=["blofin"])[0].rows_inserted == 0

    store.connection.execute("UPDATE backfill.candles SET close = close / 1000, high = high / 1000")
    store.connection.execute("UPDATE backfill.instruments SET contract_value = 10000000")

    assert run(venues, [window], leave_out=["blofin"])[0].sources == {"okx": 1}


def test_a_refusal_made_without_stand_ins_does_not_stand_in_the_way_of_one(store: CandleStore, venues: Venues) -> None:
    window = want(store, sources=("blofin", "binance"))
    run(venues, [window], only=["blofin"])
    allowed = window._replace(spot_proxy=True)
    for wanted, sources in [(window, {}), (allowed, {"binance": 1}), (window, {}), (allowed, {"binance": 1})]:
        punch(store, window, [window.end_ms - HOUR_MS])
        assert run(venues, [wanted], leave_out=["blofin"])[0].sources == sources
    assert venues["binance"].requests.by_route["/api/v3/klines"] == 3  # one proof, two fills


def test_kept_markets_are_loaded_anew_after_a_day(store: CandleStore, venues: Venues) -> None:
    with venues.open_runtime() as runtime:
        markets = VenueMarkets(store, runtime.new_client, SourceHealth(store.connection, "run"))
        first = markets.of(venue("bybit"))
        assert markets.of(venue("bybit")) == first
        assert venues.asked("bybit") == LOAD_OF_BYBIT
        store.connection.execute("UPDATE backfill.venue_markets SET loaded_at = now() - interval '25 hours'")
        markets.of(venue("bybit"))
        assert venues.asked("bybit") == 2 * LOAD_OF_BYBIT


def _quote_by_the_thousand(exchange: PaperExchange, symbol: str) -> None:
    """The venue quotes the coin by the thousand and does not say so."""
    assert isinstance(exchange.market, VenueMarket)
    listings = exchange.market._listings
    tick = MARKET.instrument(symbol).tick_size * 1000
    instrument = replace(listings[symbol].instrument, tick_size=tick, lot_size=Decimal(1))
    listings[symbol] = replace(listings[symbol], units=Decimal(1000), instrument=instrument)


def test_login_and_password_of_a_venues_connection_reach_its_client(database_uri: str):
    environ = {"AIRFLOW_CONN_OKX_DEFAULT": '{"conn_type": "http", "login": "key", "password": "s3cret"}'}

    def connection_of(source: str) -> SourceConnection:
        return source_from_environment(source, environ)

    with Runtime(database_uri, Settings(), connection_of) as runtime:
        client = cast(CcxtClient, runtime.new_client("okx"))
        assert client._keys == {"apiKey": "key", "secret": "s3cret"}

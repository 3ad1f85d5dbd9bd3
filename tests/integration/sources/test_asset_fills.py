"""Stocks and currencies filled from sources of our own: keys, missing volumes, providers in order."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.config.universe_model import Validation
from backfill.domain.timeframes import utc
from backfill.domain.venues import venue
from backfill.jobs.fill.fill_universe import fill_series
from backfill.jobs.validate.validate_series import ValidationReport
from backfill.jobs.validate.validate_universe import validate_universe
from backfill.paper.alphavantage_protocol import AlphaVantageProtocol
from backfill.paper.coins import STOCKS_AND_CURRENCIES
from backfill.paper.limits import NO_LIMITS
from backfill.paper.oanda_protocol import OandaProtocol
from backfill.paper.polygon_protocol import PolygonProtocol
from backfill.paper.protocol import ExchangeProtocol
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.rate_budget import RateBudget
from backfill.storage.series import SeriesWindow
from integration.fallback.fills import health, sources_stored
from integration.helpers import DAY_MS, HOUR_MS, NOW_MS, rows, wanted_series
from waiting import PATIENCE_S

MARKET = SyntheticMarket(coins=STOCKS_AND_CURRENCIES)
PROTOCOLS: dict[str, Callable[[], ExchangeProtocol]] = {
    "polygon": PolygonProtocol,
    "oanda": OandaProtocol,
    "alphavantage": AlphaVantageProtocol,
}
KEY = "paper-key-77aa"

Fill = Callable[..., list[str]]


@pytest.fixture
def papers() -> Iterator[dict[str, PaperExchange]]:
    with ExitStack() as opened:
        yield {
            name: opened.enter_context(PaperExchange(MARKET, made(), limits=NO_LIMITS, clock=lambda: NOW_MS))
            for name, made in PROTOCOLS.items()
        }


@pytest.fixture
def fill(database_uri: str, papers: dict[str, PaperExchange]) -> Fill:
    """Fill, and give each series' error."""

    def run(*windows: SeriesWindow, key: str | None = KEY) -> list[str]:
        def connection_of(source: str) -> SourceConnection:
            options = {"outputsize": "full"}  # a free key's reach is that of today
            return SourceConnection(base_url=papers[source].url, api_secret=key, timeout_s=PATIENCE_S, options=options)

        with Runtime(database_uri, Settings(), connection_of) as runtime:
            reports = list(fill_series(runtime, windows, RunIdentity("test", "run", "fill")))
        return [report.error or report.status for report in reports]

    return run


def want(store: CandleStore, symbol: str, *sources: str, timeframe: str = "1m") -> SeriesWindow:
    return wanted_series(store, symbol, timeframe, sources=sources, history_ms=6 * HOUR_MS, state="live")


def test_a_stock_and_a_pair_are_filled_beside_each_other(
    store: CandleStore, fill: Fill, papers: dict[str, PaperExchange]
) -> None:
    stock, pair = want(store, "AAPL", "polygon"), want(store, "EUR_USD", "oanda", "polygon")
    assert fill(stock, pair) == ["complete", "complete"]
    assert sources_stored(store, stock) == {"polygon": 360}
    assert sources_stored(store, pair) == {"oanda": 360}
    # A page each, and no list of markets.
    assert {name: paper.requests.total for name, paper in papers.items()} == {
        "polygon": 1,
        "oanda": 1,
        "alphavantage": 0,
    }
    volumes = "SELECT DISTINCT volume IS NULL FROM backfill.candles WHERE series_id = %s"
    assert rows(store.connection, volumes, (stock.series_id,)) == [(False,)]
    assert rows(store.connection, volumes, (pair.series_id,)) == [(True,)]


def test_the_next_source_fills_what_the_first_cannot(
    store: CandleStore, fill: Fill, papers: dict[str, PaperExchange]
) -> None:
    pair = want(store, "EUR_USD", "oanda", "polygon")
    fill(pair)
    store.connection.execute(
        "DELETE FROM backfill.candles WHERE open_time >= to_timestamp(%s / 1e3)", (pair.end_ms - HOUR_MS,)
    )
    papers["oanda"].faults.on("error_503")
    fill(pair)
    assert sources_stored(store, pair) == {"oanda": 300, "polygon": 60}


def test_without_a_key_nothing_is_asked_and_the_error_names_the_connection(
    store: CandleStore, fill: Fill, papers: dict[str, PaperExchange]
) -> None:
    (error,) = fill(want(store, "AAPL", "polygon"), key=None)
    assert "polygon_default" in error
    assert papers["polygon"].requests.total == 0


def test_no_key_is_in_what_is_stored_or_said(
    store: CandleStore, fill: Fill, papers: dict[str, PaperExchange], caplog: pytest.LogCaptureFixture
) -> None:
    papers["polygon"].faults.on("html")
    caplog.set_level("DEBUG")
    (error,) = fill(want(store, "AAPL", "polygon"))
    assert "not JSON" in error
    assert KEY not in caplog.text
    assert (
        rows(store.connection, "SELECT 1 FROM backfill.gap_fill_runs AS r WHERE r::text LIKE %s", (f"%{KEY}%",)) == []
    )


def test_a_days_quota_is_kept_by_all_and_the_next_source_fills_until_it_is_back(
    store: CandleStore, fill: Fill, papers: dict[str, PaperExchange]
) -> None:
    """25 a day, whoever asks; what is used up is no reason to wait, and costs the next day nothing."""
    sources, of_60_days = ("alphavantage", "oanda"), 60 * DAY_MS
    window = wanted_series(store, "EUR_USD", "1d", sources=sources, history_ms=of_60_days, state="live")
    fill(window)
    assert sources_stored(store, window) == {"alphavantage": 60}
    store.connection.execute(
        "DELETE FROM backfill.candles WHERE open_time >= to_timestamp(%s / 1e3)", (window.end_ms - 10 * DAY_MS,)
    )
    budget, asked = store.source_id("alphavantage"), papers["alphavantage"].requests.total
    used = "UPDATE backfill.rate_budgets SET recent_ms = array_fill(recent_ms[1], ARRAY[25]) WHERE source_id = %s"
    store.connection.execute(used, (budget,))
    fill(window)
    assert sources_stored(store, window) == {"alphavantage": 50, "oanda": 10}
    assert papers["alphavantage"].requests.total == asked
    taken = "SELECT cardinality(recent_ms) FROM backfill.rate_budgets WHERE source_id = %s"
    assert rows(store.connection, taken, (budget,)) == [(25,)]
    assert health(store).get("alphavantage", "closed") == "closed"
    # The next day: the first source gives its own again.
    store.connection.execute("UPDATE backfill.rate_budgets SET recent_ms = '{}' WHERE source_id = %s", (budget,))
    fill(window)
    assert sources_stored(store, window) == {"alphavantage": 60}


PAIRS = ("AUD_USD", "EUR_USD", "GBP_USD", "NZD_USD", "USD_CAD", "USD_JPY")
EUR_USD = STOCKS_AND_CURRENCIES[1]
OF_PAIRS = SyntheticMarket(
    coins=[replace(EUR_USD, instrument=replace(EUR_USD.instrument, symbol=name)) for name in PAIRS]
)
FILLS = Path(__file__).with_name("fill_beside_others.py")


@pytest.mark.long
def test_two_processes_share_what_is_left_of_a_days_quota(store: CandleStore, database_uri: str) -> None:
    """Two requests of the day are left and six pairs lack days: the next source fills four of them."""
    for pair in PAIRS:
        sources = ("alphavantage", "oanda")
        wanted_series(store, pair, "1d", sources=sources, history_ms=60 * DAY_MS, state="live")
    source_id = store.source_id("alphavantage")
    with connect(database_uri) as connection:
        RateBudget(connection, "alphavantage", source_id, venue("alphavantage").limits_per_period_s).take_turn()
    used = "UPDATE backfill.rate_budgets SET recent_ms = array_fill(recent_ms[1], ARRAY[23]) WHERE source_id = %s"
    store.connection.execute(used, (source_id,))
    with ExitStack() as opened:
        papers = {
            name: opened.enter_context(PaperExchange(OF_PAIRS, made(), limits=NO_LIMITS, clock=lambda: NOW_MS))
            for name, made in PROTOCOLS.items()
        }
        options = {
            "database": database_uri,
            "urls": {name: paper.url for name, paper in papers.items()},
            "key": KEY,
            "now_ms": NOW_MS,
        }
        processes = [
            opened.enter_context(
                subprocess.Popen(
                    [sys.executable, str(FILLS), json.dumps({**options, "symbols": list(symbols)})],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for symbols in (PAIRS[::2], PAIRS[1::2])
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        told = [json.loads(process.communicate()[0]) for process in processes]

        assert papers["alphavantage"].requests.total == 2
        from_whom = {pair: sources for one in told for pair, sources in one.items()}
        assert sorted(map(str, from_whom.values())) == ["{'alphavantage': 60}"] * 2 + ["{'oanda': 60}"] * 4
        assert health(store).get("alphavantage", "closed") == "closed"
        left = "SELECT cardinality(recent_ms) FROM backfill.rate_budgets WHERE source_id = %s"
        assert rows(store.connection, left, (source_id,)) == [(25,)]


Validate = Callable[[SeriesWindow], ValidationReport]


@pytest.fixture
def validate(database_uri: str, papers: dict[str, PaperExchange]) -> Validate:
    def run(window: SeriesWindow) -> ValidationReport:
        def connection_of(source: str) -> SourceConnection:
            return SourceConnection(base_url=papers[source].url, api_secret=KEY, timeout_s=PATIENCE_S)

        who = RunIdentity("test", "validation", "validate")
        with Runtime(database_uri, Settings(), connection_of) as runtime:
            (report,) = validate_universe(runtime, [window], who, Validation(), at=utc(NOW_MS))
        return report

    return run


def test_a_pair_without_volumes_is_compared_with_another_source(
    store: CandleStore, fill: Fill, validate: Validate
) -> None:
    window = want(store, "EUR_USD", "oanda", "polygon")
    fill(window)
    report = validate(window)
    assert report.counts["compared"] == 360
    assert (report.open_findings, report.problems) == ({}, [])
    assert report.resolves_pct["polygon"] < 0.1


def test_a_wrong_price_of_a_pair_is_found_and_read_again(store: CandleStore, fill: Fill, validate: Validate) -> None:
    window = want(store, "EUR_USD", "oanda", "polygon")
    fill(window)
    closes = "SELECT sum(close) FROM backfill.candles WHERE series_id = %s"
    true = rows(store.connection, closes, (window.series_id,))
    store.connection.execute(
        "UPDATE backfill.candles SET close = close * 1.005, high = high * 1.005 "
        "WHERE open_time = to_timestamp(%s / 1e3)",
        (window.end_ms - 50 * 60_000,),
    )
    assert rows(store.connection, closes, (window.series_id,)) != true
    validate(window)
    assert rows(store.connection, closes, (window.series_id,)) == true

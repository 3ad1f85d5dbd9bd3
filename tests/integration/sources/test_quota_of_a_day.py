"""A source whose quota of a day is used up: the next fills, the first restores, and the quota holds for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from backfill.config.connections import SourceConnection
from backfill.domain.symbols import Listing
from backfill.domain.timeframes import DAY_MS, timeframe
from backfill.errors import RateLimited
from backfill.exchanges.alphavantage_client import VENUE
from backfill.paper.alphavantage_protocol import AlphaVantageProtocol
from backfill.paper.limits import NO_LIMITS
from backfill.paper.protocol import ExchangeProtocol
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.yahoo_protocol import YahooProtocol
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.testing.source_contract import KEY
from integration.fallback.conftest import Venues
from integration.fallback.fills import run, sources_stored, want
from integration.helpers import NOW_MS
from integration.sources.assets import asset
from integration.sources.outside import installed
from waiting import PATIENCE_S

APPLE = asset("AAPL", "0.01", 228.5, listed_ms=NOW_MS - 300 * DAY_MS)
MARKET = SyntheticMarket(coins=[APPLE])


class Keyed(Venues):
    """Sources whose connections have a key."""

    def open_runtime(self) -> Runtime:
        def connection_of(source: str) -> SourceConnection:
            return SourceConnection(base_url=self[source].url, api_secret=KEY, timeout_s=PATIENCE_S)

        return Runtime(self.database_uri, self.settings, connection_of)


PAID = """
from dataclasses import replace

from backfill.exchanges.alphavantage_client import VENUE, AlphaVantageClient
from backfill.exchanges.source_contract import RegisteredSource


class PaidClient(AlphaVantageClient):
    venue = replace(VENUE, source="paid", reach_bars=None)


SOURCE = RegisteredSource(PaidClient.venue, PaidClient)
"""


@pytest.fixture
def paid(tmp_path: Path) -> Iterator[None]:
    """Alpha Vantage as one pays for it, whose reach does not go by the day on which a test runs."""
    (tmp_path / "paid_alphavantage.py").write_text(PAID)
    with installed(tmp_path, {"paid": "paid_alphavantage:SOURCE"}):
        yield


@contextmanager
def stocks(database_uri: str, av: ExchangeProtocol) -> Iterator[Keyed]:
    """Alpha Vantage and Yahoo, which differ by nothing."""
    with (
        PaperExchange(MARKET, av, limits=NO_LIMITS, clock=lambda: NOW_MS) as alphavantage,
        PaperExchange(MARKET, YahooProtocol(), clock=lambda: NOW_MS) as yahoo,
    ):
        yield Keyed(database_uri, {"alphavantage": alphavantage, "paid": alphavantage, "yfinance": yahoo})


def test_with_the_days_quota_used_up_the_next_source_fills_and_the_first_restores_later(
    store: CandleStore, database_uri: str, paid: None
) -> None:
    window = want(store, "AAPL", timeframe="1d", sources=("paid", "yfinance"), history_ms=60 * DAY_MS)
    with stocks(database_uri, AlphaVantageProtocol(KEY, premium=True)) as venues:
        run(venues, [window])
        assert sources_stored(store, window) == {"paid": 60}
        store.connection.execute(
            "DELETE FROM backfill.candles WHERE open_time >= to_timestamp(%s / 1e3)", (window.end_ms - 10 * DAY_MS,)
        )
        asked = venues.asked("paid")
        store.connection.execute(
            "UPDATE backfill.rate_budgets "
            "SET recent_ms = (SELECT array_agg(backfill.epoch_ms(clock_timestamp())) FROM generate_series(1, 25))"
        )

        (without,) = run(venues, [window])
        assert (without.missing_after, venues.asked("paid")) == (0, asked)
        assert sources_stored(store, window) == {"paid": 50, "yfinance": 10}

        store.connection.execute("UPDATE backfill.rate_budgets SET recent_ms = '{}'")
        run(venues, [window])
        assert sources_stored(store, window) == {"paid": 60}
        assert venues.asked("paid") == asked + 1


def test_the_quota_holds_for_all_runs_together(store: CandleStore, database_uri: str) -> None:
    protocol = AlphaVantageProtocol(KEY, premium=True)
    with stocks(database_uri, protocol) as venues:
        for _ in range(2):
            with venues.open_runtime() as runtime, suppress(RateLimited):
                client = runtime.candle_source(VENUE, Listing("AAPL", "perpetual", 1.0, 1.0), None, "1d")
                store.connection.execute("UPDATE backfill.rate_budgets SET spacing_ms = 0")
                for _ in range(20):
                    client.ask("AAPL", timeframe("1d"), NOW_MS // DAY_MS * DAY_MS)
        assert venues.asked("alphavantage") == 25

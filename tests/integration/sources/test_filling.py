"""Stocks and pairs are filled by the same jobs, budget and breaker as coins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backfill.config.connections import SourceConnection
from backfill.paper.oanda_protocol import OandaProtocol
from backfill.paper.protocol import ExchangeProtocol
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.testing.source_contract import KEY
from integration.exchange import candles_in_database, candles_in_market
from integration.fallback.conftest import Venues
from integration.fallback.fills import run, sources_stored, want
from integration.helpers import NOW_MS
from integration.sources.assets import AAPL, EUR_USD
from waiting import PATIENCE_S

MARKET = SyntheticMarket(coins=[EUR_USD, AAPL])


class Keyed(Venues):
    """Sources whose connections have a key."""

    def open_runtime(self) -> Runtime:
        def connection_of(source: str) -> SourceConnection:
            return SourceConnection(base_url=self[source].url, api_secret=KEY, timeout_s=PATIENCE_S)

        return Runtime(self.database_uri, self.settings, connection_of)


@contextmanager
def served(database_uri: str, protocol: ExchangeProtocol, source: str) -> Iterator[Keyed]:
    with PaperExchange(MARKET, protocol, clock=lambda: NOW_MS) as exchange:
        yield Keyed(database_uri, {source: exchange})


def test_a_pair_is_whole_after_one_request_and_has_no_volume(store: CandleStore, database_uri: str) -> None:
    window = want(store, "EUR_USD", sources=("oanda",))
    with served(database_uri, OandaProtocol(KEY), "oanda") as venues:
        (report,) = run(venues, [window])
        assert venues.asked("oanda") == 1
    assert report.missing_after == 0
    assert sources_stored(store, window) == {"oanda": 360}
    stored, true = candles_in_database(store, window), candles_in_market(MARKET, window)
    assert [row[:5] for row in stored] == [bar[:5] for bar in true]
    assert {row[5:] for row in stored} == {(None, None)}

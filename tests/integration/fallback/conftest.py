"""Five exchanges on paper that stand at NOW_MS, and what a fill needs to ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.paper.coins import LIQUID_COINS, MULTIPLIED_COINS, STOCK_LIKE_COINS
from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import paper_exchange
from backfill.sources.runtime import Runtime
from integration.helpers import NOW_MS
from waiting import PATIENCE_S

COINS = {coin.instrument.symbol: coin for coin in (*LIQUID_COINS, *MULTIPLIED_COINS, *STOCK_LIKE_COINS)}
SYMBOLS = (
    *("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "AAVE-USDT", "WIF-USDT", "PEPE-USDT", "SHIB-USDT"),
    *("1000BONK-USDT", "10000SATS-USDT", "1000000BABYDOGE-USDT", "TSLA-USDT"),
)
MARKET = SyntheticMarket(coins=[COINS[symbol] for symbol in SYMBOLS])

Open = Callable[..., PaperExchange]


class Venues:
    """The exchanges by name.

    ``options`` are ccxt's and ``timeout_s`` a request's, by source; ``settings`` those of the fills to come.
    """

    def __init__(self, database_uri: str, exchanges: dict[str, PaperExchange]) -> None:
        self.database_uri = database_uri
        self.exchanges = exchanges
        self.options: dict[str, dict[str, Any]] = {}
        self.timeout_s: dict[str, float] = {}
        self.settings = Settings()

    def __getitem__(self, name: str) -> PaperExchange:
        return self.exchanges[name]

    def open_runtime(self) -> Runtime:
        def connection_of(source: str) -> SourceConnection:
            return SourceConnection(
                base_url=self[source].url,
                options=self.options.get(source, {}),
                timeout_s=self.timeout_s.get(source, PATIENCE_S),
            )

        return Runtime(self.database_uri, self.settings, connection_of)

    def asked(self, name: str) -> int:
        return self[name].requests.total

    def forget_counts(self) -> None:
        for exchange in self.exchanges.values():
            exchange.reset_counts()

    def replace(self, name: str, exchange: PaperExchange) -> None:
        self.exchanges = {**self.exchanges, name: exchange}

    @contextmanager
    def refusing(self, name: str) -> Iterator[None]:
        """Its port is closed."""
        self[name].stop()
        try:
            yield
        finally:
            self[name].start()


def open_exchange(name: str, market: Any = MARKET, **how: Any) -> PaperExchange:
    return paper_exchange(name, market, **{"limits": NO_LIMITS, "clock": lambda: NOW_MS, **how})


@pytest.fixture(scope="session")
def running_venues() -> Iterator[dict[str, PaperExchange]]:
    with ExitStack() as opened:
        names = ("blofin", "okx", "bybit", "binanceusdm", "binance")
        yield {name: opened.enter_context(open_exchange(name)) for name in names}


@pytest.fixture
def venues(database_uri: str, running_venues: dict[str, PaperExchange]) -> Venues:
    for exchange in running_venues.values():
        exchange.faults.off()
        exchange.reset_limits()
        exchange.reset_counts()
    return Venues(database_uri, running_venues)


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens further exchanges for one test."""
    with ExitStack() as stack:
        yield lambda name, *market, **how: stack.enter_context(open_exchange(name, *market, **how))

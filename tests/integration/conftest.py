"""A store of each test's own. After every test that uses one, the ledger must be true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from backfill.paper.coins import LIQUID_COINS
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from integration.exchange import PaperBlofin
from integration.helpers import HOUR_MS, NOW_MS, assert_held_is_true

# Listed off the minute's grid, as a quarter of Blofin's coins.
YOUNG_COIN = replace(
    LIQUID_COINS[3], instrument=replace(LIQUID_COINS[3].instrument, symbol="YOUNG-USDT", listed_ms=NOW_MS - 6 * HOUR_MS)
)


@pytest.fixture
def store(database_uri: str) -> Iterator[CandleStore]:
    with CandleStore(connect(database_uri)) as opened:
        yield opened
        assert_held_is_true(opened.connection)


@pytest.fixture(scope="session")
def running_exchange() -> Iterator[PaperBlofin]:
    """One server for all tests; a test takes ``exchange``."""
    with PaperBlofin(SyntheticMarket(coins=[*LIQUID_COINS[:3], YOUNG_COIN])) as exchange:
        yield exchange


@pytest.fixture
def exchange(running_exchange: PaperBlofin) -> PaperBlofin:
    """A paper exchange at NOW_MS: three old coins and one that was listed six hours ago."""
    running_exchange.behave()
    return running_exchange

"""A store of each test's own. After every test that uses one, the ledger must be true."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from integration.helpers import assert_held_is_true


@pytest.fixture
def store(database_uri: str) -> Iterator[CandleStore]:
    with CandleStore(connect(database_uri)) as opened:
        yield opened
        assert_held_is_true(opened.connection)

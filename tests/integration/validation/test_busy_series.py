"""A series that another run works on."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from backfill.jobs.fill import fill_universe
from backfill.jobs.validate import validate_universe
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from integration.fallback.conftest import Venues
from integration.fallback.fills import run, want
from integration.helpers import rows
from integration.validation.validations import validate


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fill_universe, validate_universe):
        monkeypatch.setattr(module, "HURRIED_PATIENCE_S", 0.3)


def test_a_run_that_must_end_leaves_it_to_the_other_and_fills_the_rest(
    venues: Venues, store: CandleStore, database_uri: str
) -> None:
    busy, free = want(store, "BTC-USDT"), want(store, "ETH-USDT")
    until = datetime.now(timezone.utc) + timedelta(minutes=5)
    with CandleStore(connect(database_uri)) as other, other.working_on(busy, patience_s=0):
        left, filled = run(venues, [busy, free], until=until)

    assert (left.status, left.requests, left.cause) == ("partial", 0, None)
    assert "BTC-USDT 1m is being worked on by another run" in str(left.error)
    assert filled.status == "complete"
    logged = rows(store.connection, "SELECT symbol, status, missing_after FROM backfill.gap_fill_runs ORDER BY symbol")
    assert logged == [("BTC-USDT", "partial", 360), ("ETH-USDT", "complete", 0)]


def test_a_validation_leaves_it_to_the_next_one(venues: Venues, store: CandleStore, database_uri: str) -> None:
    busy, free = want(store, "BTC-USDT"), want(store, "ETH-USDT")
    run(venues, [busy, free])
    with CandleStore(connect(database_uri)) as other, other.working_on(busy, patience_s=0):
        (report,) = validate(venues, [busy, free])

    assert report.symbol == "ETH-USDT"

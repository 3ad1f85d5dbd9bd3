"""The ordinary rhythm of fills and validations over bars that are made of finer ones."""

from __future__ import annotations

import pytest

from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from integration.exchange import Clock, assert_equals_market
from integration.fallback.conftest import MARKET, Open, Venues
from integration.fallback.fills import run, want
from integration.helpers import DAY_MS, HOUR_MS, NOW_MS, one, window_of
from integration.validation.validations import revisions, validate

pytestmark = pytest.mark.long


def test_nobody_is_asked_for_the_newest_bars_and_within_hours_the_homes_own_take_their_place(
    venues: Venues, store: CandleStore, opened: Open
) -> None:
    clock = Clock(NOW_MS)
    venues.replace("blofin", opened("blofin", clock=clock))
    for timeframe in ("15m", "1h"):
        want(store, timeframe=timeframe, sources=("blofin",), history_ms=2 * DAY_MS)
    store.connection.execute("UPDATE backfill.series SET roll_up = true")
    asked_by_fills = asked_by_validations = 0
    for hour in range(25):
        clock.now_ms = NOW_MS + hour * HOUR_MS
        windows = [window_of(store, "BTC-USDT", timeframe, now_ms=clock.now_ms) for timeframe in ("15m", "1h")]
        asked_by_fills += sum(report.requests for report in run(venues, windows))
        asked_by_validations += sum(report.requests for report in validate(venues, windows, at_ms=clock.now_ms))

    hours = windows[1]._replace(start_ms=windows[1].start_ms - 24 * HOUR_MS)
    assert_equals_market(store, hours, MARKET)
    assert asked_by_fills == 25, "those for the quarters"
    assert asked_by_validations <= 24 // 4
    assert {reason for _, reason in revisions(store, hours)} == {"native_restored"}
    oldest_made = (
        "SELECT backfill.epoch_ms(min(open_time)) FROM backfill.ohlcv "
        "WHERE timeframe = '1h' AND source = 'derived:15m' AND open_time >= %s"
    )
    assert one(store.connection, oldest_made, (utc(windows[1].start_ms),)) >= clock.now_ms - 12 * HOUR_MS

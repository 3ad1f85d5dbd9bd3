"""A fill from nothing at moments that matter: whole, on the grid, in the right partitions, and nothing left to do."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from backfill.domain.timeframes import DAY_MS, TIMEFRAMES
from backfill.storage.candle_store import CandleStore
from integration.exchange import PaperBlofin, fill
from integration.helpers import assert_held_is_true, one, rows, wanted_series

MOMENTS = {
    "a month's last second": "2026-03-31T23:59:59",
    "a month's first minute": "2026-04-01T00:00:30",
    "29 February": "2028-02-29T23:58:30",
    "a year's last minute": "2026-12-31T23:59:10",
    "a Monday's first minute": "2026-03-09T00:00:30",
    "a Sunday's last minute": "2026-03-08T23:59:30",
    "a Wednesday": "2026-03-11T09:30:30",
    "before summer time begins in Berlin": "2027-03-28T00:59:30",
    "after summer time has ended in Berlin": "2027-10-31T01:00:30",
}


@pytest.mark.parametrize("timeframe", ["1m", "1h", "1d", "1w"])
@pytest.mark.parametrize("text", MOMENTS.values(), ids=MOMENTS)
def test_a_fill_from_nothing_is_whole(store: CandleStore, exchange: PaperBlofin, timeframe: str, text: str) -> None:
    now_ms = round(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp() * 1000)
    exchange.behave(now_ms=now_ms)
    bars = 3 if timeframe == "1w" else 40
    window = wanted_series(
        store, timeframe=timeframe, history_ms=max(bars * TIMEFRAMES[timeframe].step_ms, DAY_MS // 2), now_ms=now_ms
    )

    report = fill(store, exchange, window)

    assert (report.status, report.missing_after) == ("complete", 0)
    assert one(store.connection, "SELECT count(*) FROM backfill.candles_default") == 0, "every month has a partition"
    assert rows(store.connection, "SELECT min(open_time), max(open_time) FROM backfill.ohlcv") == [
        tuple(
            datetime.fromtimestamp(ms / 1000, tz=timezone.utc)
            for ms in (window.start_ms, window.end_ms - TIMEFRAMES[timeframe].step_ms)
        )
    ]
    assert_held_is_true(store.connection)

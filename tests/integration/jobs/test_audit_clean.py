"""The audit of a database that nobody has tampered with."""

from __future__ import annotations

import pytest

from backfill.domain.timeframes import utc
from backfill.errors import UnknownSymbol
from backfill.jobs.maintain.audit import audit
from backfill.storage.candle_store import CandleStore
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    NOON_MS,
    NOW_MS,
    candles,
    foreign_rows,
    insert_foreign,
    opens,
    rows,
    store_bars,
    wanted_series,
)

AT = utc(NOW_MS)


def test_a_clean_database_has_no_finding(store: CandleStore) -> None:
    minutes = wanted_series(store, history_ms=60 * DAY_MS, sources=("blofin", "okx"))
    weeks = wanted_series(store, "ETH-USDT", "1w", history_ms=200 * DAY_MS)
    wanted_series(store, "SOL-USDT")
    store_bars(store, minutes, candles(opens(NOON_MS - 60 * HOUR_MS, NOON_MS)))
    store_bars(store, minutes, candles(opens(NOON_MS - 70 * HOUR_MS, NOON_MS - 65 * HOUR_MS)), source="okx")
    store_bars(store, weeks, candles(opens(weeks.start_ms, weeks.end_ms, 7 * DAY_MS)))
    insert_foreign(
        store.connection, foreign_rows(minutes.series_id, opens(NOON_MS - 90 * HOUR_MS, NOON_MS - 80 * HOUR_MS))
    )

    report = audit(store, at=AT)

    assert report.lines == []
    assert len(report.seconds) == 7
    assert rows(store.connection, "SELECT * FROM findings") == []


def test_an_empty_database_has_no_finding(store: CandleStore) -> None:
    assert audit(store, at=AT, repair=True).findings == []


def test_a_symbol_that_nobody_has_heard_of_is_refused(store: CandleStore) -> None:
    wanted_series(store)
    with pytest.raises(UnknownSymbol, match="NOPE-USDT"):
        audit(store, symbols=["BTC-USDT", "NOPE-USDT"])

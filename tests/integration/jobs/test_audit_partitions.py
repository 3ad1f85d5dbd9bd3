"""The audit finds tables that are not as they should be, and puts right what it may."""

from __future__ import annotations

import pytest

from backfill.domain.timeframes import utc
from backfill.jobs.maintain.audit import audit
from backfill.jobs.maintain.checks import scope
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.series import SeriesWindow
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    NOON_MS,
    candles,
    foreign_rows,
    held_ms,
    insert_foreign,
    one,
    opens,
    rows,
    store_bars,
    wanted_series,
)
from integration.jobs.audited import AT, assert_mended

HOUR = opens(NOON_MS - HOUR_MS, NOON_MS)
JANUARY = opens(NOON_MS - 45 * DAY_MS, NOON_MS - 45 * DAY_MS + HOUR_MS)
TABLES = "SELECT tableoid::regclass::text, count(*) FROM candles GROUP BY 1 ORDER BY 1"


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    """An hour of March is held."""
    window = wanted_series(store, history_ms=3 * DAY_MS)
    store_bars(store, window, candles(HOUR))
    return window


def says(store: CandleStore, *, repair: bool = False) -> list[str]:
    return [row["says"] for row in audit(store, at=AT, repair=repair).findings]


def test_rows_that_wait_in_the_default_partition_move_into_their_month(
    store: CandleStore, window: SeriesWindow
) -> None:
    insert_foreign(store.connection, foreign_rows(window.series_id, JANUARY))
    assert says(store) == [
        "candles_default 2026-01: 60 candles of 2026-01 in candles_default: the month has no partition of its own"
    ]

    assert_mended(store)

    assert rows(store.connection, TABLES) == [("candles_y2026m01", 60), ("candles_y2026m03", 60)]
    assert len(held_ms(store.connection, window)) == 2


def test_the_months_that_a_longer_history_needs_are_made(store: CandleStore, window: SeriesWindow) -> None:
    store.connection.execute("UPDATE series SET history_ms = %s", (45 * DAY_MS,))
    assert says(store) == ["candles: series need 2 months from 2026-01 on that have no partition"]
    assert_mended(store)


def test_a_month_that_has_just_begun_and_a_series_that_was_never_filled_need_no_partition_yet(
    store: CandleStore, window: SeriesWindow
) -> None:
    wanted_series(store, "ETH-USDT", history_ms=400 * DAY_MS)
    april = NOON_MS + 22 * DAY_MS
    store.connection.execute("UPDATE series SET history_ms = %s", (60_000,))
    assert audit(store, at=utc(april - 6 * HOUR_MS)).findings == []
    assert len(audit(store, at=utc(april + 13 * HOUR_MS)).findings) == 1


@pytest.mark.parametrize("table", ["candles", "candles_default", "candles_y2026m03"])
@pytest.mark.parametrize("how", ["DROP TRIGGER add_to_held ON {}", "ALTER TABLE {} DISABLE TRIGGER ALL"])
def test_a_table_that_the_ledger_does_not_hear_of_is_watched_again(
    store: CandleStore, window: SeriesWindow, table: str, how: str
) -> None:
    store.connection.execute(how.format(table))
    (said,) = says(store)
    assert said.startswith(f"{table}: the ledger does not hear of what is written straight into it")
    assert "add_to_held" in said

    assert_mended(store)

    store.connection.execute(f"INSERT INTO {table} SELECT * FROM candles LIMIT 0")
    if table == "candles_y2026m03":
        store.connection.execute(f"TRUNCATE {table}")
        assert held_ms(store.connection, window) == []
    elif table == "candles":
        insert_foreign(store.connection, foreign_rows(window.series_id, [HOUR[0] - 60_000]))
        assert len(opens(held_ms(store.connection, window)[0].start, NOON_MS)) == 61


def test_what_was_written_past_the_ledger_is_counted_too(store: CandleStore, window: SeriesWindow) -> None:
    store.connection.execute("ALTER TABLE candles DISABLE TRIGGER ALL")
    insert_foreign(store.connection, foreign_rows(window.series_id, [HOUR[0] - 60_000]))

    assert {row["kind"] for row in assert_mended(store).findings} == {"partition", "held_drift"}


def test_a_detached_month_is_told_with_what_is_in_it_and_left_alone(store: CandleStore, window: SeriesWindow) -> None:
    store.connection.execute("ALTER TABLE candles DETACH PARTITION candles_y2026m03")
    insert_foreign(store.connection, foreign_rows(window.series_id, HOUR[:10]))
    detached = "candles_y2026m03: it is not a partition of candles: 60 rows out of sight, 10 of them in candles too; "

    report = audit(store, at=AT, repair=True)

    assert report.findings[0]["says"] == detached + "attach it, or drop it"
    assert (report.findings[1]["kind"], report.findings[1]["status"]) == ("partition", "open")
    assert "attach it, or drop it" in report.findings[1]["detail"]["not_mended"]
    assert one(store.connection, "SELECT count(*) FROM candles_y2026m03") == 60
    assert one(store.connection, "SELECT covered_ms(held) FROM series") == 600_000

    store.connection.execute("DROP TABLE candles_y2026m03")
    assert_mended(store)


def test_partitions_beside_which_no_month_can_be_made_are_told(store: CandleStore, window: SeriesWindow) -> None:
    for name, first, past in (
        ("of_a_day", "2025-01-03", "2025-01-04"),
        ("candles_2025_02", "2025-02-01", "2025-03-01"),
        ("of_the_past", None, "2020-01-01"),
    ):
        first = f"'{first}'" if first else "MINVALUE"
        store.connection.execute(f"CREATE TABLE {name} PARTITION OF candles FOR VALUES FROM ({first}) TO ('{past}')")
        store.connection.execute("SELECT watch_candles(%s::regclass)", (name,))

    assert says(store, repair=True) == [
        "candles_2025_02: it is not called candles_y2025m02: rename it",
        "of_a_day: its bounds are not one whole month of UTC: make it one, or detach it",
        "of_the_past: its bounds are not one whole month of UTC: make it one, or detach it",
    ]


def test_a_repair_that_would_wait_for_ever_is_left_to_the_next_audit(
    store: CandleStore, window: SeriesWindow, database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scope, "LOCK_TIMEOUT", "50ms")
    store.connection.execute("DROP TRIGGER add_to_held ON candles_y2026m03")
    with connect(database_uri) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM candles")
        (found,) = audit(store, at=AT, repair=True).findings
    assert found["status"] == "open"
    assert "lock timeout" in found["detail"]["not_mended"]

    assert_mended(store)

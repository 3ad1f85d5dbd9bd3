"""The ledger follows the candles for writers that know nothing of it: psql, a live ingester, a clean-up job."""

from __future__ import annotations

import psycopg
import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.series import SeriesWindow
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    assert_held_is_true,
    candles,
    foreign_rows,
    held_ms,
    insert_foreign,
    missing_candles,
    ms,
    one,
    opens,
    rows,
    store_bars,
    stored_ms,
    wanted_series,
)

COLUMNS = "(series_id, open_time, open, high, low, close, volume, quote_volume, source_id)"
HOUR = opens(NOON_MS - HOUR_MS, NOON_MS)


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    """One day of minutes, ready to be written to, with partitions."""
    window = wanted_series(store)
    store.prepare(window)
    return window


def copy_foreign(connection: psycopg.Connection, table: str, rows: list[tuple[object, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} {COLUMNS} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def test_inserted_rows_are_held_and_their_gap_is_gone(store: CandleStore, window: SeriesWindow) -> None:
    insert_foreign(store.connection, foreign_rows(window.series_id, HOUR))

    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]
    assert missing_candles(store, window) == 1440 - 60


def test_copied_rows_are_held(store: CandleStore, window: SeriesWindow) -> None:
    copy_foreign(store.connection, "backfill.candles", foreign_rows(window.series_id, [*HOUR[:20], *HOUR[25:]]))

    assert held_ms(store.connection, window) == [Interval(HOUR[0], HOUR[20]), Interval(HOUR[25], NOON_MS)]


def test_deleted_ranges_and_single_bars_are_no_longer_held(store: CandleStore, window: SeriesWindow) -> None:
    store_bars(store, window, candles(HOUR))

    store.connection.execute(
        "DELETE FROM backfill.candles WHERE open_time >= %s AND open_time < %s", (utc(HOUR[10]), utc(HOUR[20]))
    )
    for single in (HOUR[0], HOUR[30], HOUR[-1]):
        store.connection.execute("DELETE FROM backfill.candles WHERE open_time = %s", (utc(single),))

    assert held_ms(store.connection, window) == [
        Interval(HOUR[1], HOUR[10]),
        Interval(HOUR[20], HOUR[30]),
        Interval(HOUR[31], HOUR[59]),
    ]


def test_a_changed_price_moves_nothing(store: CandleStore, window: SeriesWindow) -> None:
    store_bars(store, window, candles(HOUR))

    store.connection.execute("UPDATE backfill.candles SET close = close + 1, high = high + 2")

    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]


@pytest.mark.parametrize(
    "change",
    [
        "open_time = open_time + interval '10 minutes'",
        "open_time = open_time + interval '1 minute'",
        "open_time = open_time - interval '40 days'",
        "series_id = %(other)s",
        "series_id = %(other)s, open_time = open_time + interval '3 minutes'",
        "series_id = %(hourly)s",
    ],
)
def test_a_changed_key_is_a_removal_and_an_addition(store: CandleStore, window: SeriesWindow, change: str) -> None:
    other, hourly = wanted_series(store, "ETH-USDT"), wanted_series(store, "BTC-USDT", "1h")
    store_bars(store, window, candles(HOUR[::3]))
    store_bars(store, other, candles(HOUR[1::3]))
    names = {"other": other.series_id, "hourly": hourly.series_id, "mine": window.series_id}

    store.connection.execute(f"UPDATE backfill.candles SET {change} WHERE series_id = %(mine)s", names)

    assert one(store.connection, "SELECT count(*) FROM backfill.candles") == 40
    assert_held_is_true(store.connection)


@pytest.mark.parametrize("action", ["DO NOTHING", "(series_id, open_time) DO UPDATE SET close = excluded.close"])
def test_an_upsert_of_old_and_new_rows_is_held_whole(store: CandleStore, window: SeriesWindow, action: str) -> None:
    insert_foreign(store.connection, foreign_rows(window.series_id, HOUR[:30]))

    insert_foreign(store.connection, foreign_rows(window.series_id, HOUR[20:]), f"ON CONFLICT {action}")

    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]


def test_an_upsert_that_moves_the_bars_it_meets_is_followed(store: CandleStore, window: SeriesWindow) -> None:
    insert_foreign(store.connection, foreign_rows(window.series_id, HOUR[:5]))

    tail = "ON CONFLICT (series_id, open_time) DO UPDATE SET open_time = excluded.open_time + interval '30 minutes'"
    insert_foreign(store.connection, foreign_rows(window.series_id, HOUR[3:8]), tail)

    assert stored_ms(store.connection, window) == [*HOUR[:3], *HOUR[5:8], *HOUR[33:35]]
    assert_held_is_true(store.connection)


def test_a_merge_statement_that_inserts_updates_and_deletes_at_once_is_followed(
    store: CandleStore, window: SeriesWindow
) -> None:
    insert_foreign(store.connection, foreign_rows(window.series_id, HOUR[:40]))

    store.connection.execute(
        """
        MERGE INTO backfill.candles AS c
        USING (SELECT generate_series(%s::timestamptz, %s::timestamptz, '1 minute') AS at) AS n
        ON c.series_id = %s AND c.open_time = n.at
        WHEN MATCHED AND date_part('minute', n.at)::int %% 2 = 0 THEN DELETE
        WHEN MATCHED THEN UPDATE SET close = 1.6
        WHEN NOT MATCHED THEN INSERT VALUES (%s, n.at, 1, 2, 0.5, 1.5, NULL, NULL, 1)
        """,
        (utc(HOUR[30]), utc(HOUR[49]), window.series_id, window.series_id),
    )

    assert stored_ms(store.connection, window) == [*HOUR[:30], *HOUR[31:40:2], *HOUR[40:50]]
    assert_held_is_true(store.connection)


def test_one_statement_over_several_series_and_timeframes(store: CandleStore, window: SeriesWindow) -> None:
    hourly, weekly = (
        wanted_series(store, "BTC-USDT", "1h"),
        wanted_series(store, "ETH-USDT", "1w", history_ms=63 * DAY_MS),
    )
    mondays = opens(ms("2026-01-05"), ms("2026-02-23"), 7 * DAY_MS)

    insert_foreign(
        store.connection,
        [
            *foreign_rows(window.series_id, HOUR),
            *foreign_rows(hourly.series_id, opens(NOON_MS - 5 * HOUR_MS, NOON_MS, HOUR_MS)),
            *foreign_rows(weekly.series_id, mondays),
        ],
    )

    assert held_ms(store.connection, hourly) == [Interval(NOON_MS - 5 * HOUR_MS, NOON_MS)]
    assert held_ms(store.connection, weekly) == [Interval(mondays[0], ms("2026-02-23"))]
    assert_held_is_true(store.connection)
    store.connection.execute("DELETE FROM backfill.candles WHERE open_time < '2026-03-10 11:30+00'")
    assert held_ms(store.connection, hourly) == []
    assert held_ms(store.connection, window) == [Interval(NOON_MS - HOUR_MS // 2, NOON_MS)]
    assert_held_is_true(store.connection)


def test_rows_off_the_grid_cover_no_bar(store: CandleStore, window: SeriesWindow) -> None:
    weekly = wanted_series(store, "BTC-USDT", "1w", history_ms=63 * DAY_MS)
    thursday = ms("2026-03-05")

    insert_foreign(store.connection, foreign_rows(window.series_id, [HOUR[0] + 1, HOUR[1], HOUR[2] + 30_000]))
    insert_foreign(store.connection, foreign_rows(weekly.series_id, [thursday]))

    assert held_ms(store.connection, window) == [Interval(HOUR[1], HOUR[2])]
    assert held_ms(store.connection, weekly) == []
    store.connection.execute("UPDATE backfill.candles SET open_time = open_time - interval '3 days'")
    assert held_ms(store.connection, weekly) == [Interval(ms("2026-03-02"), ms("2026-03-09"))]
    store.connection.execute("DELETE FROM backfill.candles")
    assert_held_is_true(store.connection)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO backfill.candles SELECT * FROM backfill.candles WHERE false",
        "DELETE FROM backfill.candles WHERE open_time < '1999-01-01Z'",
        "UPDATE backfill.candles SET close = 1 WHERE open_time < '1999-01-01Z'",
        "UPDATE backfill.candles SET open_time = open_time",
    ],
)
def test_a_statement_that_changes_nothing_changes_nothing(
    store: CandleStore, window: SeriesWindow, statement: str
) -> None:
    store_bars(store, window, candles(HOUR))

    store.connection.execute(statement)

    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]


def test_rows_of_a_series_that_nobody_declared_are_stored_and_harm_nothing(
    store: CandleStore, window: SeriesWindow
) -> None:
    insert_foreign(store.connection, [*foreign_rows(987_654, HOUR), *foreign_rows(window.series_id, HOUR)])

    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]


def test_a_rolled_back_write_was_never_held(store: CandleStore, window: SeriesWindow) -> None:
    store_bars(store, window, candles(HOUR[:10]))

    with store.connection.transaction():
        with store.connection.transaction(force_rollback=True):
            insert_foreign(store.connection, foreign_rows(window.series_id, HOUR[10:]))
            store.connection.execute("DELETE FROM backfill.candles WHERE open_time = %s", (utc(HOUR[0]),))
        insert_foreign(store.connection, foreign_rows(window.series_id, [HOUR[40]]))

    assert held_ms(store.connection, window) == [Interval(HOUR[0], HOUR[10]), Interval(HOUR[40], HOUR[41])]


def test_a_writer_with_another_search_path_time_zone_and_date_style_is_followed(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    with psycopg.connect(database_uri, autocommit=True) as stranger:
        stranger.execute("SET search_path = pg_catalog; SET timezone = 'Asia/Kathmandu'; SET datestyle = 'German'")
        insert_foreign(stranger, foreign_rows(window.series_id, HOUR))
        copy_foreign(stranger, "backfill.candles", foreign_rows(window.series_id, [HOUR[0] - MINUTE_MS]))
        stranger.execute("UPDATE backfill.candles SET open_time = open_time - interval '1 day'")
        stranger.execute("DELETE FROM backfill.candles WHERE open_time = %s", (utc(HOUR[5] - DAY_MS),))
        stranger.execute("SELECT backfill.ensure_candle_partitions('2027-01-01Z', '2027-03-01Z')")
        insert_foreign(stranger, foreign_rows(window.series_id, opens(ms("2027-01-31T23:00"), ms("2027-02-01T01:00"))))
        assert_held_is_true(stranger)
        stranger.execute("TRUNCATE backfill.candles_y2027m01")

    assert held_ms(store.connection, window) == [
        Interval(HOUR[0] - MINUTE_MS - DAY_MS, HOUR[5] - DAY_MS),
        Interval(HOUR[6] - DAY_MS, NOON_MS - DAY_MS),
        Interval(ms("2027-02-01"), ms("2027-02-01T01:00")),
    ]


# -- partitions ----------------------------------------------------------------------------------------------


def test_rows_written_straight_into_a_partition_are_followed(store: CandleStore, window: SeriesWindow) -> None:
    march = "backfill.candles_y2026m03"
    copy_foreign(store.connection, march, foreign_rows(window.series_id, HOUR))
    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]

    store.connection.execute(f"DELETE FROM {march} WHERE open_time < %s", (utc(HOUR[10]),))
    store.connection.execute(
        f"UPDATE {march} SET open_time = open_time - interval '1 hour' WHERE open_time = %s", (utc(HOUR[-1]),)
    )

    assert held_ms(store.connection, window) == [
        Interval(HOUR[-1] - HOUR_MS, HOUR[0]),
        Interval(HOUR[10], HOUR[-1]),
    ]


def test_rows_of_a_month_without_a_partition_wait_in_the_default_and_move_over_unnoticed(store: CandleStore) -> None:
    window = wanted_series(store)
    early, late = opens(ms("2023-05-31T23:50"), ms("2023-06-01T00:10")), HOUR
    insert_foreign(store.connection, foreign_rows(window.series_id, [*early, *late]))
    before = held_ms(store.connection, window)
    assert one(store.connection, "SELECT count(*) FROM ONLY backfill.candles_default") == 80

    made = one(store.connection, "SELECT backfill.ensure_candle_partitions(%s, %s)", (utc(early[0]), utc(early[-1])))

    assert made == 2
    assert one(store.connection, "SELECT count(*) FROM backfill.candles_y2023m05") == 10
    assert one(store.connection, "SELECT count(*) FROM backfill.candles_y2023m06") == 10
    assert one(store.connection, "SELECT count(*) FROM ONLY backfill.candles_default") == 60
    assert held_ms(store.connection, window) == before
    assert_held_is_true(store.connection)
    store.connection.execute("DELETE FROM backfill.candles_y2023m06")
    assert held_ms(store.connection, window) == [Interval(early[0], ms("2023-06-01")), Interval(HOUR[0], NOON_MS)]


def test_making_partitions_does_not_silence_the_triggers_for_the_rest_of_the_transaction(store: CandleStore) -> None:
    window = wanted_series(store)

    with store.connection.transaction():
        store.prepare(window)
        insert_foreign(store.connection, foreign_rows(window.series_id, HOUR))

    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]


def test_partitions_are_made_once_and_only_where_they_are_needed(store: CandleStore) -> None:
    def ensure(first: str, past: str) -> object:
        return one(
            store.connection,
            "SELECT backfill.ensure_candle_partitions(%s::timestamptz, %s::timestamptz)",
            (first, past),
        )

    assert ensure("2024-12-31T23:59", "2025-01-01T00:00") == 1
    assert ensure("2024-12-31T23:59", "2025-01-01T00:01") == 1
    assert ensure("2024-11-15", "2025-03-02") == 3
    assert ensure("2024-11-15", "2025-03-02") == 0
    assert ensure("2025-03-02", "2025-03-02") == 0


@pytest.mark.parametrize(
    ("truncated", "left"),
    [
        ("backfill.candles", []),
        ("backfill.candles_default", ["2026-02", "2026-03"]),
        ("backfill.candles_y2026m02", ["2023-05", "2026-03"]),
        ("backfill.candles_y2026m02, backfill.candles_y2026m03", ["2023-05"]),
    ],
)
def test_truncate_gives_up_what_was_there_and_nothing_else(store: CandleStore, truncated: str, left: list[str]) -> None:
    minutes = wanted_series(store, history_ms=20 * DAY_MS)
    weeks = wanted_series(store, "BTC-USDT", "1w", history_ms=63 * DAY_MS)
    store.prepare(minutes)
    around = opens(ms("2026-02-28T23:00"), ms("2026-03-01T01:00"))
    # The week that opens in February and ends in March belongs to the partition in which it opens.
    insert_foreign(store.connection, foreign_rows(weeks.series_id, [ms("2026-02-23"), ms("2026-03-02")]))
    insert_foreign(
        store.connection, foreign_rows(minutes.series_id, [*opens(ms("2023-05-01"), ms("2023-05-02")), *around])
    )

    store.connection.execute(f"TRUNCATE {truncated}")

    months = rows(store.connection, "SELECT DISTINCT to_char(open_time, 'YYYY-MM') FROM backfill.candles ORDER BY 1")
    assert [month for (month,) in months] == left
    assert_held_is_true(store.connection)


def test_a_role_that_may_write_candles_and_nothing_else_is_followed(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    store.connection.execute("DROP ROLE IF EXISTS ingester; CREATE ROLE ingester")
    store.connection.execute(
        "GRANT USAGE ON SCHEMA backfill TO ingester; GRANT INSERT, SELECT ON backfill.candles TO ingester"
    )
    with connect(database_uri) as ingester:
        ingester.execute("SET ROLE ingester")
        insert_foreign(ingester, foreign_rows(window.series_id, HOUR))

    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]
    store.connection.execute("DROP OWNED BY ingester; DROP ROLE ingester")

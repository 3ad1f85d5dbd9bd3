"""The audit finds a ledger that is not true, and sets it right beside whoever is writing."""

from __future__ import annotations

import threading

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.jobs.maintain.audit import audit
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.series import SeriesWindow
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    candles,
    foreign_rows,
    held_ms,
    insert_foreign,
    one,
    opens,
    rows,
    store_bars,
    stored_ms,
    wait_until_blocked,
    wanted_series,
)
from integration.jobs.audited import AT, assert_mended, kinds, silenced
from waiting import PATIENCE_S

HOUR = opens(NOON_MS - HOUR_MS, NOON_MS)


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    """An hour of bars is held, in a window of sixty days."""
    window = wanted_series(store, history_ms=60 * DAY_MS, sources=("blofin", "okx"))
    store_bars(store, window, candles(HOUR))
    return window


def say_held(store: CandleStore, change: str) -> None:
    store.connection.execute(f"UPDATE series SET held = held {change}")


def test_bars_that_are_stored_and_not_held(store: CandleStore, window: SeriesWindow) -> None:
    with silenced(store):
        insert_foreign(
            store.connection, foreign_rows(window.series_id, opens(NOON_MS - 3 * HOUR_MS, NOON_MS - 2 * HOUR_MS))
        )

    report = audit(store, at=AT)

    assert kinds(report) == [("held_drift", "open"), ("count_drift", "open")]
    assert report.lines == [
        "BTC-USDT 1m held_drift: 60 bars stored and not held",
        "BTC-USDT 1m count_drift: sync_status has 60 candles, 120 are stored",
    ]
    assert report.findings[0]["detail"]["intervals_ms"] == [[NOON_MS - 3 * HOUR_MS, NOON_MS - 2 * HOUR_MS]]
    assert_mended(store)
    assert held_ms(store.connection, window)[0] == Interval(NOON_MS - 3 * HOUR_MS, NOON_MS - 2 * HOUR_MS)


def test_bars_that_are_held_and_not_stored_in_months_far_apart(store: CandleStore, window: SeriesWindow) -> None:
    older = opens(NOON_MS - 50 * DAY_MS, NOON_MS - 50 * DAY_MS + 10 * MINUTE_MS)
    store_bars(store, window, candles(older))
    with silenced(store):
        store.connection.execute(
            "DELETE FROM candles WHERE open_time = ANY (%s)", ([utc(at) for at in [*older, HOUR[5]]],)
        )

    report = assert_mended(store)

    assert report.lines == ["BTC-USDT 1m held_drift: 11 bars held and not stored; mended"]
    assert held_ms(store.connection, window) == [Interval(HOUR[0], HOUR[5]), Interval(HOUR[6], NOON_MS)]


def test_a_month_that_somebody_has_dropped(store: CandleStore, window: SeriesWindow) -> None:
    store.connection.execute("DROP TABLE candles_y2026m03")

    report = assert_mended(store)

    assert report.lines == ["BTC-USDT 1m held_drift: 60 bars held and not stored; mended"]
    assert held_ms(store.connection, window) == []


def test_a_ledger_beyond_all_partitions_and_off_the_grid(store: CandleStore, window: SeriesWindow) -> None:
    far = "'{[-62000000000000,-61000000000000),[9000000000000000,9100000000000000)}'::int8multirange"
    say_held(store, f"+ {far} + '{{[{NOON_MS},{NOON_MS + 5})}}'::int8multirange")

    assert_mended(store)

    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]


def test_stand_ins_and_settled_bars_that_are_none(store: CandleStore, window: SeriesWindow) -> None:
    store_bars(store, window, candles(opens(NOON_MS - 2 * HOUR_MS, HOUR[0])), source="okx")
    store.connection.execute(
        "UPDATE series SET stand_in = %s::int8multirange, settled = %s::int8multirange",
        (f"{{[{HOUR[0]},{HOUR[10]})}}", f"{{[{HOUR[0] - DAY_MS},{HOUR[20]})}}"),
    )

    report = assert_mended(store)

    assert report.lines == [
        "BTC-USDT 1m stand_in_drift: 70 bars wrongly marked as stand-ins, or as the primary source's; mended",
        "BTC-USDT 1m settled_drift: 1,380 bars settled and not held; mended",
    ]
    settled = one(store.connection, "SELECT settled::text FROM series")
    assert settled == f"{{[{NOON_MS - 2 * HOUR_MS},{HOUR[20]})}}"


def test_what_somebody_else_has_mended_is_settled_and_what_comes_back_is_counted(
    store: CandleStore, window: SeriesWindow
) -> None:
    drift, back = f"- '{{[{HOUR[3]},{HOUR[4]})}}'::int8multirange", f"+ '{{[{HOUR[3]},{HOUR[4]})}}'::int8multirange"
    told = "SELECT status, times_seen FROM findings WHERE kind = 'held_drift'"
    say_held(store, drift)
    audit(store, at=AT)
    audit(store, at=AT)
    assert rows(store.connection, told) == [("open", 2)]

    say_held(store, back)
    assert audit(store, at=AT).findings == []
    assert rows(store.connection, told) == [("settled", 2)]

    say_held(store, drift)
    assert audit(store, at=AT).remaining == 2
    assert rows(store.connection, told) == [("open", 3)]
    assert_mended(store)


def test_an_audit_of_some_symbols_leaves_the_others_as_they_are(store: CandleStore, window: SeriesWindow) -> None:
    wanted_series(store, "ETH-USDT")
    say_held(store, f"+ '{{[{NOON_MS},{NOON_MS + MINUTE_MS})}}'::int8multirange")
    assert audit(store, at=AT).remaining == 4

    report = audit(store, at=AT, repair=True, symbols=["ETH-USDT"])

    assert {row["symbol"] for row in report.findings} == {"ETH-USDT"}
    assert report.remaining == 0
    assert {row["symbol"] for row in audit(store, at=AT).findings} == {"BTC-USDT"}
    assert_mended(store)


def test_what_a_person_has_dismissed_stays_dismissed(store: CandleStore, window: SeriesWindow) -> None:
    say_held(store, f"+ '{{[{NOON_MS},{NOON_MS + MINUTE_MS})}}'::int8multirange")
    audit(store, at=AT)
    store.connection.execute("UPDATE findings SET status = 'dismissed'")

    assert audit(store, at=AT).remaining == 0
    assert rows(store.connection, "SELECT DISTINCT status FROM findings") == [("dismissed",)]
    audit(store, at=AT, repair=True)


# -- beside a writer -----------------------------------------------------------------------------------------


def test_a_page_on_its_way_in_is_no_drift_and_is_not_lost(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    page = opens(NOON_MS - 2 * HOUR_MS, HOUR[0])
    say_held(store, f"- '{{[{HOUR[3]},{HOUR[4]})}}'::int8multirange")  # something to mend in the very same series

    with CandleStore(connect(database_uri)) as writer, CandleStore(connect(database_uri)) as mender:
        repair = threading.Thread(target=audit, args=(mender,), kwargs={"at": AT, "repair": True})
        writer.prepare(window)
        with writer.page_transaction():
            writer.store_page(window, 1, candles(page), bars=[Interval(page[0], HOUR[0])])
            assert kinds(audit(store, at=AT)) == [("held_drift", "open"), ("count_drift", "open")]
            repair.start()
            wait_until_blocked(store.connection)  # for the writer's lock on the ledger
        repair.join(timeout=PATIENCE_S)

    assert held_ms(store.connection, window) == [Interval(page[0], NOON_MS)]
    assert audit(store, at=AT).findings == []


def test_a_row_that_is_written_while_the_repair_has_the_lock_is_added_after_it(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    say_held(store, f"- '{{[{HOUR[3]},{HOUR[4]})}}'::int8multirange")
    stranger = connect(database_uri)

    def insert() -> None:
        insert_foreign(stranger, foreign_rows(window.series_id, [HOUR[0] - MINUTE_MS]))

    with store.connection.transaction():
        audit(store, at=AT, repair=True)
        writing = threading.Thread(target=insert)
        writing.start()
        with connect(database_uri) as watcher:
            wait_until_blocked(watcher)
    writing.join(timeout=PATIENCE_S)
    stranger.close()

    assert held_ms(store.connection, window) == [Interval(HOUR[0] - MINUTE_MS, NOON_MS)]


def test_many_pages_and_many_repairs_at_once_end_in_a_true_ledger(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    bars = opens(NOON_MS - DAY_MS, HOUR[0])

    def write() -> None:
        with CandleStore(connect(database_uri)) as writer:
            for at in range(0, len(bars), 60):
                store_bars(writer, window, candles(bars[at : at + 60]))

    writing = threading.Thread(target=write)
    writing.start()
    while writing.is_alive():
        say_held(store, f"- '{{[{HOUR[3]},{HOUR[4]})}}'::int8multirange")
        audit(store, at=AT, repair=True)
    writing.join(timeout=PATIENCE_S)

    assert stored_ms(store.connection, window) == [*bars, *HOUR]
    assert audit(store, at=AT).findings == []

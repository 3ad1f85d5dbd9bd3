"""The audit finds candles that should not be there, and moves the broken ones to the quarantine."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

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
    missing_candles,
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
NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    """The last hour is whole."""
    window = wanted_series(store, history_ms=HOUR_MS)
    store_bars(store, window, candles(HOUR))
    return window


def change(store: CandleStore, open_ms: int, **values: Any) -> None:
    for name, value in values.items():
        store.connection.execute(f"UPDATE candles SET {name} = %s WHERE open_time = %s", (value, utc(open_ms)))


# -- broken candles ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"close": NAN}, "number_is_not_finite"),
        ({"high": INFINITY}, "number_is_not_finite"),
        ({"low": -INFINITY}, "number_is_not_finite"),
        ({"quote_volume": NAN}, "number_is_not_finite"),
        ({"high": 1e60}, "number_is_absurd"),
        ({"volume": 5e-324}, "number_is_absurd"),
        ({"open": 0.0, "low": 0.0}, "price_is_not_positive"),
        ({"low": -1.0}, "price_is_not_positive"),
        ({"high": 99.5}, "high_is_not_highest"),
        ({"low": 100.5}, "low_is_not_lowest"),
        ({"volume": None}, "volume_is_missing"),
        ({"volume": -0.5}, "volume_is_negative"),
        ({"quote_volume": -1.0}, "volume_is_negative"),
    ],
)
def test_a_candle_that_breaks_a_rule_is_named_and_its_bar_asked_for_again(
    store: CandleStore, window: SeriesWindow, values: dict[str, Any], rule: str
) -> None:
    change(store, HOUR[30], **values)

    (found,) = audit(store, at=AT).findings
    assert (found["kind"], found["detail"]["opens_ms"]) == ("broken_candle", [HOUR[30]])
    assert (found["start_time"], found["end_time"]) == (utc(HOUR[30]), utc(HOUR[31]))
    assert missing_candles(store, window) == 0

    report = assert_mended(store)

    assert report.lines == [f"BTC-USDT 1m broken_candle: 1 candle: {rule.replace('_', ' ')}; mended"]
    assert missing_candles(store, window) == 1
    (kept,) = rows(store.connection, "SELECT rule, status, open_time, source_id, payload->>'series_id' FROM quarantine")
    assert kept == (rule, "pending", utc(HOUR[30]), 1, str(window.series_id))


def test_what_is_sound_but_unusual_is_no_fault(store: CandleStore, window: SeriesWindow) -> None:
    change(store, HOUR[1], open=5.0, high=5.0, low=5.0, close=5.0, volume=0.0, quote_volume=None)
    change(store, HOUR[2], high=1e12)
    assert audit(store, at=AT).findings == []


def test_a_candle_of_the_future_is_broken_even_in_the_year_58000(store: CandleStore, window: SeriesWindow) -> None:
    insert_foreign(store.connection, foreign_rows(window.series_id, [NOON_MS + DAY_MS]))
    store.connection.execute(  # milliseconds taken for seconds
        "INSERT INTO candles SELECT series_id, from_epoch_ms(%s), 1, 1, 1, 1, 1, 1, 1 FROM candles LIMIT 1",
        (NOON_MS * 1000,),
    )

    report = audit(store, at=AT)
    assert [row["kind"] for row in report.findings] == ["broken_candle", "partition"]
    assert report.findings[0]["says"] == "2 candles: open time is in the future"

    assert_mended(store)
    assert stored_ms(store.connection, window) == HOUR


def test_thousands_of_broken_candles_of_one_kind_are_one_finding(store: CandleStore) -> None:
    window = wanted_series(store, history_ms=40 * DAY_MS)
    store.prepare(window)
    store.connection.execute(
        "INSERT INTO candles "
        "SELECT %s, from_epoch_ms(ms), 1, 1, 2, 1, 1, 1, 1 FROM generate_series(%s, %s, 60000) AS ms",
        (window.series_id, NOON_MS - 12 * DAY_MS, NOON_MS - 60_000),
    )

    report = assert_mended(store)

    assert [row["says"] for row in report.findings] == ["17,280 candles: high is not highest"]
    assert len(report.findings[0]["detail"]["opens_ms"]) == 5
    assert one(store.connection, "SELECT count(*) FROM quarantine") == 17_280
    assert held_ms(store.connection, window) == []


def test_what_a_person_has_written_or_released_is_left_alone(store: CandleStore, window: SeriesWindow) -> None:
    change(store, HOUR[1], high=99.5)
    change(store, HOUR[2], high=99.5, source_id=store.source_id("manual"))
    store.connection.execute(
        "INSERT INTO quarantine (series_id, source_id, open_time, rule, payload, status) "
        "VALUES (%s, 1, %s, 'high_is_not_highest', '{}', 'released')",
        (window.series_id, utc(HOUR[1])),
    )
    assert audit(store, at=AT).findings == []


def test_a_candle_that_somebody_corrects_meanwhile_is_neither_moved_nor_lost(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    change(store, HOUR[1], high=99.5)
    change(store, HOUR[2], high=99.5)
    with CandleStore(connect(database_uri)) as writer, CandleStore(connect(database_uri)) as mender:
        repair = threading.Thread(target=audit, args=(mender,), kwargs={"at": AT, "repair": True})
        writer.prepare(window)
        with writer.page_transaction():
            writer.store_page(window, 1, candles([HOUR[1]]), bars=[Interval(HOUR[1], HOUR[2])])
            repair.start()
            wait_until_blocked(store.connection)
        repair.join(timeout=PATIENCE_S)

    assert stored_ms(store.connection, window) == [*HOUR[:2], *HOUR[3:]]
    assert rows(store.connection, "SELECT open_time FROM quarantine") == [(utc(HOUR[2]),)]
    assert audit(store, at=AT).findings == []


# -- off the grid --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [timedelta(seconds=17), timedelta(milliseconds=1), timedelta(microseconds=1)])
def test_an_open_time_inside_a_bar_is_a_second_row_of_that_bar(
    store: CandleStore, window: SeriesWindow, off: timedelta
) -> None:
    with silenced(store):
        store.connection.execute(
            "INSERT INTO candles SELECT series_id, open_time + %s, open, high, low, close, volume, quote_volume, 1 "
            "FROM candles WHERE open_time = %s",
            (off, utc(HOUR[7])),
        )
    assert kinds(audit(store, at=AT)) == [("off_grid", "open"), ("count_drift", "open")]

    assert_mended(store)

    assert stored_ms(store.connection, window) == HOUR
    assert missing_candles(store, window) == 0
    assert rows(store.connection, "SELECT rule, open_time FROM quarantine") == [
        ("open_time_is_off_the_grid", utc(HOUR[7]) + off)
    ]


def test_weeks_open_on_mondays(store: CandleStore) -> None:
    window = wanted_series(store, "ETH-USDT", "1w", history_ms=100 * DAY_MS)
    monday = window.end_ms - 7 * DAY_MS
    insert_foreign(store.connection, foreign_rows(window.series_id, [monday, monday + 3 * DAY_MS]))

    report = assert_mended(store)

    assert ("off_grid", "settled") in kinds(report)
    assert stored_ms(store.connection, window) == [monday]


# -- rows that belong nowhere --------------------------------------------------------------------------------


def test_rows_of_a_series_that_does_not_exist_are_told_and_stay(store: CandleStore, window: SeriesWindow) -> None:
    for sql in (
        "INSERT INTO candles SELECT 99, open_time, open, high, low, close, volume, quote_volume, 1 FROM candles",
        "INSERT INTO revisions (series_id, open_time, reason, open, high, low, close, source_id, new_source_id) "
        "VALUES (99, now(), 'manual', 1, 1, 1, 1, 1, 1)",
        "INSERT INTO quarantine (series_id, source_id, rule, payload) VALUES (99, 1, 'a_rule', '{}')",
        "INSERT INTO absences VALUES (99, 1, 1, now() + interval '1 day', '{[0,60000)}')",
        "INSERT INTO findings (series_id, kind, verdict) VALUES (99, 'flat_bars', 'disagree')",
    ):
        store.connection.execute(sql)

    assert [row["says"] for row in audit(store, at=AT).findings] == [
        "60 rows of candles name series 99, which does not exist",
        "1 row of absences name series 99, which does not exist",
        "1 row of findings name series 99, which does not exist",
        "1 row of quarantine name series 99, which does not exist",
        "1 row of revisions name series 99, which does not exist",
    ]

    report = audit(store, at=AT, repair=True)
    assert [row["detail"]["table"] for row in report.findings if row["mended"]] == ["absences", "findings"]

    still = [row["detail"]["table"] for row in audit(store, at=AT, repair=True).findings]
    assert still == ["candles", "quarantine", "revisions"]
    assert one(store.connection, "SELECT count(*) FROM candles WHERE series_id = 99") == 60

    store.connection.execute("DELETE FROM candles WHERE series_id = 99")
    store.connection.execute("DELETE FROM quarantine; DELETE FROM revisions")
    assert audit(store, at=AT).findings == []


def test_candles_of_a_source_that_was_taken_off_the_list_are_told_and_nobody_has_to_act(
    store: CandleStore, window: SeriesWindow
) -> None:
    change(store, HOUR[1], source_id=store.source_id("okx"))
    change(store, HOUR[2], source_id=store.source_id("manual"))
    change(store, HOUR[3], source_id=store.source_id("derived:1m"))

    report = audit(store, at=AT, repair=True)

    assert report.lines == [
        "BTC-USDT 1m foreign_source: 1 candle from okx, which is not among the series' sources any more"
    ]
    assert (report.remaining, report.mended) == (0, 0)


def test_candles_of_a_source_that_does_not_exist_are_hidden_from_people(
    store: CandleStore, window: SeriesWindow
) -> None:
    change(store, HOUR[1], source_id=77)

    report = audit(store, at=AT, repair=True)

    assert report.lines == ["BTC-USDT 1m foreign_source: 1 candle from source 77, which does not exist"]
    assert report.remaining == 1
    assert one(store.connection, "SELECT count(*) FROM ohlcv") == 59
    assert one(store.connection, "SELECT covered_ms(held) FROM series") == 60 * MINUTE_MS

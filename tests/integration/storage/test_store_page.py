"""What one page leaves behind: candles, revisions, quarantined rows, and nothing at all the second time."""

from __future__ import annotations

import math
from typing import Any

import pytest

from backfill.domain.intervals import Interval
from backfill.errors import BadPayload, DatabaseError
from backfill.storage.candle_store import CandleStore, QuarantinedRow, StoredPage
from backfill.storage.database import connect
from backfill.storage.series import SeriesWindow
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    candles,
    contents,
    foreign_rows,
    held_ms,
    insert_foreign,
    ms,
    one,
    opens,
    rows,
    store_bars,
    stored_ms,
    wanted_series,
)

HOUR = opens(NOON_MS - HOUR_MS, NOON_MS)
SOURCES = ("blofin", "okx", "kraken")
REVISIONS = (
    "SELECT r.reason, r.close, r.quote_volume, old.name, new.name FROM backfill.revisions AS r "
    "JOIN backfill.sources AS old ON old.id = r.source_id JOIN backfill.sources AS new ON new.id = r.new_source_id "
    "ORDER BY r.open_time, r.id"
)
SOURCES_HELD = (
    "SELECT DISTINCT s.name, c.close FROM backfill.candles AS c JOIN backfill.sources AS s ON s.id = c.source_id "
    "ORDER BY 1"
)


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, sources=SOURCES)


# -- once and twice ------------------------------------------------------------------------------------------


def test_a_page_is_stored_value_for_value_and_held(store: CandleStore, window: SeriesWindow) -> None:
    frame = candles(HOUR)
    frame["open"] = [0.1 + n / 7 for n in range(60)]  # doubles that no decimal spells
    frame["volume"] = [1e-12 * 3**n for n in range(60)]
    frame.loc[7, "quote_volume"] = math.nan
    frame.loc[8, ["volume", "quote_volume"]] = math.nan

    stored = store_bars(store, window, frame)

    assert stored == StoredPage(inserted=60, revised=0, quarantined=0, newly_absent_ms=0)
    got = rows(
        store.connection, "SELECT open, high, low, close, volume, quote_volume FROM backfill.candles ORDER BY open_time"
    )
    for row, (_, expected) in zip(got, frame.iterrows(), strict=True):
        names = ("open", "high", "low", "close", "volume", "quote_volume")
        assert row == tuple(None if math.isnan(expected[name]) else expected[name] for name in names)
    assert stored_ms(store.connection, window) == HOUR
    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]


def test_stored_twice_the_second_time_changes_nothing(store: CandleStore, window: SeriesWindow) -> None:
    frame = candles([*HOUR[:20], *HOUR[25:]])
    frame.loc[3, "quote_volume"] = math.nan
    hole = [Interval(HOUR[20], HOUR[25])]
    broken = [QuarantinedRow(HOUR[22], "high_is_not_highest", ["1", "2"])]
    store_bars(store, window, frame, absent=hole, quarantined=broken)
    before = contents(store.connection)

    again = store_bars(store, window, frame, absent=hole, quarantined=broken)

    assert (again.inserted, again.revised, again.newly_absent_ms) == (0, 0, 0)
    assert contents(store.connection) == before
    assert rows(store.connection, "SELECT rule, times_seen FROM backfill.quarantine") == [("high_is_not_highest", 2)]


def test_pages_that_overlap_store_each_bar_once(store: CandleStore, window: SeriesWindow) -> None:
    assert store_bars(store, window, candles(HOUR[20:40])).inserted == 20
    assert store_bars(store, window, candles(HOUR)).inserted == 40
    assert stored_ms(store.connection, window) == HOUR


def test_a_page_over_the_end_of_a_month_and_of_a_year_is_one_page(store: CandleStore) -> None:
    now_ms = ms("2026-01-01T06:00:10")
    window = wanted_series(store, now_ms=now_ms, history_ms=DAY_MS)
    night = opens(ms("2025-12-31T22:00"), ms("2026-01-01T02:00"))

    assert store_bars(store, window, candles(night)).inserted == 240
    assert store_bars(store, window, candles(night, close=100.5)).revised == 240

    assert stored_ms(store.connection, window) == night
    assert one(store.connection, "SELECT count(*) FROM backfill.candles_y2025m12") == 120
    assert one(store.connection, "SELECT count(*) FROM ONLY backfill.candles_default") == 0


def test_bars_that_a_stranger_stored_are_not_stored_again(store: CandleStore, window: SeriesWindow) -> None:
    store.prepare(window)
    insert_foreign(store.connection, foreign_rows(window.series_id, HOUR[:30], store.source_id("blofin")))
    frame = candles(HOUR, quote_volume=15.0)
    frame[["open", "high", "low", "close", "volume"]] = [1.0, 2.0, 0.5, 1.5, 10.0]

    stored = store_bars(store, window, frame)

    assert (stored.inserted, stored.revised) == (30, 0)
    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]


def test_a_page_touches_no_other_series(store: CandleStore, window: SeriesWindow) -> None:
    other = wanted_series(store, "ETH-USDT")
    store_bars(store, other, candles(HOUR, close=100.2))

    store_bars(store, window, candles(HOUR, close=100.7))

    assert one(store.connection, "SELECT count(*) FROM backfill.candles WHERE close = 100.2") == 60
    assert one(store.connection, "SELECT count(*) FROM backfill.revisions") == 0


# -- corrections ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume", "quote_volume"])
@pytest.mark.parametrize(("relative", "revised"), [(1e-12, 0), (-1e-12, 0), (1e-6, 1), (-1e-6, 1)])
def test_a_source_corrects_its_own_bar_beyond_float_noise(
    store: CandleStore, window: SeriesWindow, column: str, relative: float, revised: int
) -> None:
    store_bars(store, window, candles(HOUR))
    corrected = candles(HOUR)
    corrected.loc[30, column] *= 1 + relative

    stored = store_bars(store, window, corrected)

    assert (stored.inserted, stored.revised) == (0, revised)
    kept = rows(store.connection, f"SELECT reason, {column}, open_time FROM backfill.revisions")
    now = one(store.connection, f"SELECT {column} FROM backfill.candles ORDER BY open_time OFFSET 30 LIMIT 1")
    original = candles(HOUR).loc[30, column]
    assert now == (corrected.loc[30, column] if revised else original)
    assert [(reason, old) for reason, old, _ in kept] == [("provider_correction", original)] * revised


def test_a_bar_that_moves_away_from_zero_volume_is_a_correction(store: CandleStore, window: SeriesWindow) -> None:
    quiet = candles(HOUR[:2], quote_volume=0.0)
    quiet["volume"] = 0.0
    store_bars(store, window, quiet)
    assert store_bars(store, window, quiet).revised == 0

    assert store_bars(store, window, candles(HOUR[:2])).revised == 2


def test_corrections_back_and_forth_leave_every_value_they_replaced(store: CandleStore, window: SeriesWindow) -> None:
    for close in (100.1, 100.2, 100.1):
        store_bars(store, window, candles(HOUR[:1], close=close))

    assert rows(store.connection, "SELECT close FROM backfill.candles") == [(100.1,)]
    assert rows(store.connection, "SELECT close FROM backfill.revisions ORDER BY id") == [(100.1,), (100.2,)]


def test_an_unknown_quote_volume_stays_unknown_until_its_source_tells_it(
    store: CandleStore, window: SeriesWindow
) -> None:
    store_bars(store, window, candles(HOUR[:3], quote_volume=math.nan))
    assert rows(store.connection, "SELECT quote_volume FROM backfill.candles") == [(None,)] * 3
    assert store_bars(store, window, candles(HOUR[:3], quote_volume=math.nan)).revised == 0

    assert store_bars(store, window, candles(HOUR[:3])).revised == 3

    assert rows(store.connection, "SELECT quote_volume FROM backfill.candles") == [(250.0,)] * 3
    assert rows(store.connection, REVISIONS) == [("provider_correction", 100.0, None, "blofin", "blofin")] * 3


def test_an_answer_without_quote_volume_does_not_make_a_known_one_unknown(
    store: CandleStore, window: SeriesWindow
) -> None:
    store_bars(store, window, candles(HOUR[:3]))

    assert store_bars(store, window, candles(HOUR[:3], quote_volume=math.nan)).revised == 0

    assert rows(store.connection, "SELECT quote_volume FROM backfill.candles") == [(250.0,)] * 3


# -- whose word counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("worse", "better"), [("okx", "blofin"), ("kraken", "blofin"), ("kraken", "okx")])
def test_a_better_source_replaces_a_worse_ones_bar_even_where_they_agree(
    store: CandleStore, window: SeriesWindow, worse: str, better: str
) -> None:
    store_bars(store, window, candles(HOUR[:2], quote_volume=math.nan), source=worse)

    stored = store_bars(store, window, candles(HOUR), source=better)

    assert (stored.inserted, stored.revised) == (58, 2)
    assert rows(store.connection, SOURCES_HELD) == [(better, 100.0)]
    assert rows(store.connection, REVISIONS) == [("native_restored", 100.0, None, worse, better)] * 2


@pytest.mark.parametrize(("worse", "better"), [("okx", "blofin"), ("kraken", "blofin"), ("kraken", "okx")])
def test_a_worse_source_never_replaces_a_better_ones_bar(
    store: CandleStore, window: SeriesWindow, worse: str, better: str
) -> None:
    store_bars(store, window, candles(HOUR[:40], quote_volume=math.nan), source=better)

    stored = store_bars(store, window, candles(HOUR, close=100.9), source=worse)

    assert (stored.inserted, stored.revised) == (20, 0)
    assert set(rows(store.connection, SOURCES_HELD)) == {(better, 100.0), (worse, 100.9)}
    assert held_ms(store.connection, window) == [Interval(HOUR[0], NOON_MS)]


def test_the_order_of_the_series_decides_not_the_age_of_the_source(store: CandleStore) -> None:
    for name in SOURCES:
        store.source_id(name)
    reversed_order = wanted_series(store, sources=tuple(reversed(SOURCES)))
    store_bars(store, reversed_order, candles(HOUR), source="blofin")

    assert store_bars(store, reversed_order, candles(HOUR), source="kraken").revised == 60
    assert store_bars(store, reversed_order, candles(HOUR, close=100.9), source="okx").revised == 0


def test_a_bar_of_a_source_that_the_series_no_longer_names_gives_way_to_any_that_it_does(store: CandleStore) -> None:
    window = wanted_series(store, sources=("okx",))
    store_bars(store, window, candles(HOUR), source="gate")

    assert store_bars(store, window, candles(HOUR), source="okx").revised == 60
    assert store_bars(store, window, candles(HOUR, close=100.9), source="gate").revised == 0
    assert rows(store.connection, SOURCES_HELD) == [("okx", 100.0)]


def test_a_bar_that_a_fallback_took_over_from_an_unnamed_source_still_stands_in_for_the_home(
    store: CandleStore,
) -> None:
    window = wanted_series(store, sources=("blofin", "okx"))
    store_bars(store, window, candles(HOUR[:10]), source="gate")

    assert store_bars(store, window, candles(HOUR), source="okx").revised == 10

    stand_in = one(store.connection, "SELECT stand_in FROM backfill.series")
    assert [(r.lower, r.upper) for r in stand_in] == [(HOUR[0], NOON_MS)]
    assert store.open_work(window, store.source_id("blofin")).askable == [Interval(window.start_ms, NOON_MS)]


# -- what was refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        ["1773144000000", "NaN", "1", "1", "1", "1", "1", "1", "1"],
        [1773144000000, math.nan, math.inf, -math.inf],
        ["a NUL \x00 inside", "half a pair \ud800", "\U0001f40b"],
        {"not": ["a", "row"]},
        None,
        "text",
        10**400,
        {"\x00": {"deep": [math.nan]}},
    ],
)
def test_a_broken_row_is_kept_as_it_came_whatever_it_holds(
    store: CandleStore, window: SeriesWindow, payload: Any
) -> None:
    row = QuarantinedRow(HOUR[3], "field_is_no_number", payload)

    assert store_bars(store, window, candles(HOUR[:3]), quarantined=[row, row]).quarantined == 2

    ((rule, times_seen, kept),) = rows(store.connection, "SELECT rule, times_seen, payload FROM backfill.quarantine")
    assert (rule, times_seen) == ("field_is_no_number", 2)
    assert kept is not None or payload is None
    assert stored_ms(store.connection, window) == HOUR[:3]


def test_the_same_row_under_another_rule_time_or_source_is_another_case(
    store: CandleStore, window: SeriesWindow
) -> None:
    def quarantine(open_ms: int | None, rule: str, source: str, payload: list[str]) -> None:
        store_bars(store, window, candles([]), source=source, quarantined=[QuarantinedRow(open_ms, rule, payload)])

    quarantine(HOUR[0], "high_is_not_highest", "blofin", ["1"])
    quarantine(HOUR[0], "high_is_not_highest", "blofin", ["2"])
    quarantine(HOUR[0], "low_is_not_lowest", "blofin", ["1"])
    quarantine(None, "high_is_not_highest", "okx", ["1"])

    assert rows(store.connection, "SELECT times_seen FROM backfill.quarantine") == [(1,)] * 4


# -- all or nothing ------------------------------------------------------------------------------------------


def test_a_transaction_that_fails_after_the_page_leaves_nothing_of_it(store: CandleStore, window: SeriesWindow) -> None:
    store_bars(store, window, candles(HOUR[:10]))
    before = contents(store.connection)
    broken = [QuarantinedRow(None, "open_time_is_missing", [])]
    bars = [Interval(HOUR[0], HOUR[50])]

    def store_then_fail(error: Exception) -> None:
        with store.page_transaction():
            store.store_page(
                window,
                store.source_id("blofin"),
                candles(HOUR[:50], close=100.3),
                bars=bars,
                absent=[Interval(HOUR[50], NOON_MS)],
                quarantined=broken,
            )
            raise error

    for error in (BadPayload("blofin", "late"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            store_then_fail(error)

    assert contents(store.connection) == before
    assert one(store.connection, "SELECT count(*) FROM backfill.quarantine") == 0
    assert store_bars(store, window, candles(HOUR)).inserted == 50  # the waiting room was emptied too


def test_a_page_that_the_database_refuses_leaves_nothing_and_the_next_one_is_stored(
    store: CandleStore, window: SeriesWindow
) -> None:
    store.prepare(window)
    store.connection.execute("ALTER TABLE backfill.candles ADD CONSTRAINT cheap CHECK (high < 200)")
    expensive = candles(HOUR)
    expensive.loc[59, ["high", "close"]] = 300.0

    with pytest.raises(DatabaseError, match="cheap"):
        store_bars(store, window, expensive)
    assert stored_ms(store.connection, window) == []

    assert store_bars(store, window, candles(HOUR)).inserted == 60


def test_a_stranger_sees_a_page_and_its_ledger_at_the_same_moment(
    store: CandleStore, window: SeriesWindow, database_uri: str
) -> None:
    store.prepare(window)
    with connect(database_uri) as onlooker:
        with store.page_transaction():
            store.store_page(window, store.source_id("blofin"), candles(HOUR), bars=[Interval(HOUR[0], NOON_MS)])
            assert stored_ms(onlooker, window) == []
            assert held_ms(onlooker, window) == []
        assert stored_ms(onlooker, window) == HOUR
        assert held_ms(onlooker, window) == [Interval(HOUR[0], NOON_MS)]


def test_a_page_of_one_bar_costs_the_same_statements_as_a_full_one(store: CandleStore) -> None:
    window = wanted_series(store, history_ms=2 * DAY_MS)
    full = opens(NOON_MS - 1440 * MINUTE_MS, NOON_MS)

    assert store_bars(store, window, candles(full)).inserted == 1440
    assert store_bars(store, window, candles([full[0] - MINUTE_MS])).inserted == 1
    assert held_ms(store.connection, window) == [Interval(full[0] - MINUTE_MS, NOON_MS)]

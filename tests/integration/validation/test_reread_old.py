"""Corrections that come days late, values that another writer changed, findings whose bars were mended."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding
from backfill.storage.series import SeriesWindow
from integration.exchange import Clock, assert_equals_market, candles_in_database
from integration.fallback.conftest import MARKET, Open, Venues
from integration.fallback.fills import run, want
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, NOW_MS, rows, window_of
from integration.validation.validations import findings, insert_native, revisions, span_of, validate

pytestmark = pytest.mark.long

OLD = range(NOON_MS - 60 * HOUR_MS, NOON_MS - 58 * HOUR_MS, MINUTE_MS)


@pytest.fixture
def clock(venues: Venues, opened: Open) -> Clock:
    clock = Clock(NOW_MS)
    venues.replace("blofin", opened("blofin", clock=clock))
    return clock


def change(store: CandleStore, window: SeriesWindow, open_ms: int, what: str = "close = close * 1.01") -> None:
    """An UPDATE by a person with psql."""
    store.connection.execute(
        f"UPDATE backfill.candles SET {what} WHERE series_id = %s AND open_time = %s", (window.series_id, utc(open_ms))
    )


def days_of(store: CandleStore, window: SeriesWindow) -> set[str]:
    sql = "SELECT condition FROM backfill.conditions_at(%s) WHERE symbol = %s"
    return {name for (name,) in rows(store.connection, sql, (utc(NOW_MS), window.symbol))}


# -- late corrections ------------------------------------------------------------------------------------------


def test_what_the_source_corrects_days_later_is_found_and_mended_in_all_its_series_at_a_bounded_cost(
    venues: Venues, store: CandleStore, clock: Clock
) -> None:
    symbols = ("BTC-USDT", "ETH-USDT")
    windows = [want(store, symbol, sources=("blofin",), history_ms=4 * DAY_MS) for symbol in symbols]
    run(venues, windows)
    validate(venues, windows)
    for symbol in symbols:
        venues["blofin"].faults.on("revised", symbol=symbol, timeframe="1m", opens_ms=OLD)
    venues.forget_counts()
    mended_after: dict[str, int] = {}
    for half_hours in range(1, 14 * 48 + 1, 4):
        clock.now_ms = NOW_MS + half_hours * 30 * MINUTE_MS
        validate(venues, windows, at_ms=clock.now_ms)
        for window in windows:
            if window.symbol not in mended_after and len(revisions(store, window)) == len(OLD):
                mended_after[window.symbol] = half_hours * 30 * MINUTE_MS

    assert set(mended_after) == set(symbols)
    assert max(mended_after.values()) <= 7 * DAY_MS + DAY_MS
    assert abs(mended_after["BTC-USDT"] - mended_after["ETH-USDT"]) <= 4 * HOUR_MS, "one series finds it for all"
    # 4 pages twice a fortnight each, the last bars that had not settled, and what the corrections add.
    assert venues.asked("blofin") <= 2 * (2 * 4 + 2 + 4)
    # The corrected bars no longer join their neighbours, on the exchange either.
    assert [one for one in findings(store) if one["kind"] != "continuity"] == []


def test_without_samples_no_old_page_is_read_again(venues: Venues, store: CandleStore, clock: Clock) -> None:
    window = want(store, sources=("blofin",), history_ms=4 * DAY_MS)
    run(venues, [window])
    venues.forget_counts()
    for days in (0, 8, 16):
        clock.now_ms = NOW_MS + days * DAY_MS
        validate(venues, [window], at_ms=clock.now_ms, every=False, newest_page=False)
    assert venues.asked("blofin") <= 1, "the last bars, which had not settled"


# -- values that another writer changed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", ["close = close * 1.01", "volume = volume + 1", "quote_volume = NULL", "open = high, low = low * 0.5"]
)
@pytest.mark.parametrize("hours_ago", [3, 50, 80], ids=["lately", "long ago", "before the window"])
def test_changed_values_are_doubtful_and_read_again_once(
    venues: Venues, store: CandleStore, clock: Clock, what: str, hours_ago: int
) -> None:
    whole = want(store, sources=("blofin",), history_ms=4 * DAY_MS)
    run(venues, [whole])
    store.connection.execute("UPDATE backfill.series SET history_ms = %s", (3 * DAY_MS,))
    window = window_of(store, "BTC-USDT", "1m")
    changed_ms = NOON_MS - hours_ago * HOUR_MS
    change(store, whole, changed_ms, what)
    assert span_of(store, window, "touched") == [(changed_ms, changed_ms + MINUTE_MS)]
    assert ("doubtful" in days_of(store, window)) == (changed_ms >= window.start_ms)
    venues.forget_counts()

    asked = []
    for _ in range(3):
        validate(venues, [window])
        asked.append(venues.asked("blofin"))

    assert asked[0] <= 2, "its page, and with it the last bars that had not settled"
    assert asked == [asked[0]] * 3
    assert_equals_market(store, whole, MARKET)
    assert revisions(store, window) == [(changed_ms, "provider_correction")]
    assert span_of(store, window, "touched") == []
    assert "doubtful" not in days_of(store, window)


def test_a_stand_in_that_was_changed_is_read_again_from_its_own_source(venues: Venues, store: CandleStore) -> None:
    window = want(store)
    missing = range(NOON_MS - 5 * HOUR_MS, NOON_MS - 4 * HOUR_MS, MINUTE_MS)
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms=missing)
    run(venues, [window])
    before = candles_in_database(store, window)
    assert len(before) == (window.end_ms - window.start_ms) // MINUTE_MS
    change(store, window, missing[7])
    assert "doubtful" in days_of(store, window)

    validate(venues, [window])

    assert candles_in_database(store, window) == before
    assert span_of(store, window, "touched") == []


def test_what_no_source_answers_for_stays_doubtful_and_is_not_asked_for_ever(
    venues: Venues, store: CandleStore, clock: Clock
) -> None:
    window = want(store, sources=("blofin",))
    run(venues, [window])
    changed_ms = NOON_MS - 5 * HOUR_MS
    change(store, window, changed_ms)
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms=[changed_ms])
    venues.forget_counts()
    asked = []
    for _ in range(4):
        validate(venues, [window])
        asked.append(venues.asked("blofin"))

    assert asked[-1] == asked[0]
    assert "doubtful" in days_of(store, window)


def test_a_person_and_a_running_ingester_are_left_alone(venues: Venues, store: CandleStore, clock: Clock) -> None:
    window = want(store, sources=("blofin",))
    run(venues, [window])
    change(store, window, NOON_MS - 5 * HOUR_MS, f"close = high, source_id = {store.source_id('manual')}")
    change(store, window, NOON_MS - 5 * HOUR_MS, "close = low")
    change(store, window, NOON_MS - MINUTE_MS)
    change(store, window, NOON_MS - 6 * HOUR_MS, "close = close")

    assert span_of(store, window, "touched") == []


# -- findings -----------------------------------------------------------------------------------------------------


def put_right(store: CandleStore, window: SeriesWindow, open_ms: int) -> None:
    change(store, window, open_ms, "close = close * 1.02")


def delete(store: CandleStore, window: SeriesWindow, open_ms: int) -> None:
    sql = "DELETE FROM backfill.candles WHERE open_time >= %s AND open_time < %s"
    store.connection.execute(sql, (utc(open_ms), utc(open_ms + HOUR_MS)))


def leave(store: CandleStore, window: SeriesWindow, open_ms: int) -> None:
    pass


@pytest.mark.parametrize(
    ("mend", "kind", "settled_by"),
    [
        (put_right, "cross_source", "mended"),
        (delete, "cross_source", "removed"),
        (delete, "flat_bars", "removed"),
        (delete, "wrong_instrument", "removed"),
        (put_right, "flat_bars", None),
        (leave, "cross_source", None),
        (leave, "price_jump", None),
    ],
)
def test_a_finding_whose_bars_were_mended_or_removed_closes_itself(
    venues: Venues,
    store: CandleStore,
    mend: Callable[[CandleStore, SeriesWindow, int], None],
    kind: str,
    settled_by: str | None,
) -> None:
    window = want(store, sources=("blofin",), history_ms=4 * DAY_MS)
    insert_native(store, window)
    open_ms = window.start_ms + 6 * HOUR_MS
    (bar,) = [bar for bar in candles_in_database(store, window) if bar[0] == open_ms]
    is_one = kind == "cross_source"
    store.findings.record(
        [
            Finding(
                kind, "disagree", window.series_id, None, open_ms, open_ms + (MINUTE_MS if is_one else HOUR_MS),
                field="close" if is_one else None, stored=bar[4] if is_one else None,
            )
        ]
    )  # fmt: skip
    mend(store, window, open_ms)
    venues["blofin"].faults.on("restricted")  # it would give its own bars again

    validate(venues, [window], every=False, newest_page=False, next_timeframe=False)

    (finding,) = findings(store, kind, status=None)
    assert (finding["status"], finding["detail"].get("settled_by")) == (
        ("open", None) if settled_by is None else ("settled", settled_by)
    )


@pytest.mark.parametrize("kind", ["cross_source", "broken_candle"])
def test_what_is_found_wrong_outside_the_window_is_mended_where_the_source_has_it(
    venues: Venues, store: CandleStore, clock: Clock, kind: str
) -> None:
    whole = want(store, sources=("blofin",), history_ms=4 * DAY_MS)
    insert_native(store, whole)
    store.connection.execute("UPDATE backfill.series SET history_ms = %s", (DAY_MS,))
    window = window_of(store, "BTC-USDT", "1m")
    wrong_ms = whole.start_ms + HOUR_MS
    change(store, whole, wrong_ms)
    (stored,) = [bar[4] for bar in candles_in_database(store, whole) if bar[0] == wrong_ms]
    store.findings.record(
        [Finding(kind, "disagree", window.series_id, 1, wrong_ms, wrong_ms + MINUTE_MS, field="close", stored=stored)]
    )

    validate(venues, [window])

    assert_equals_market(store, whole, MARKET)
    assert findings(store, kind) == []

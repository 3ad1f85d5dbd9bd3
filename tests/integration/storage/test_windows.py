"""The window of a series, worked out by Postgres, against the same worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from backfill.config.universe_model import SeriesWish
from backfill.domain.timeframes import TIMEFRAMES, utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection, SeriesWindow
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    NOW_MS,
    candles,
    missing_candles,
    ms,
    opens,
    store_bars,
    wanted_series,
)


def change(store: CandleStore, table: str, **columns: Any) -> None:
    for name, value in columns.items():
        store.connection.execute(f"UPDATE backfill.{table} SET {name} = %s", (value,))


def windows(store: CandleStore, now_ms: int = NOW_MS, **which: Any) -> list[SeriesWindow]:
    return store.windows(Selection(utc(now_ms), **which))


def test_every_timeframe_has_the_window_that_the_domain_gives_it(store: CandleStore) -> None:
    history_ms = 30 * DAY_MS
    for name in TIMEFRAMES:
        wanted_series(store, timeframe=name, history_ms=history_ms)

    for now in ("2026-03-10T12:00:30", "2026-03-09T00:00:00", "2026-03-08T23:59:59.999", "2024-02-29T08:01:02"):
        for settle_ms in (0, 5000):
            got = windows(store, ms(now), settle_ms=settle_ms)
            assert [window.timeframe for window in got] == list(TIMEFRAMES)
            for window in got:
                wish = SeriesWish("BTC-USDT", window.timeframe, history_ms, None, None, None, ("blofin",), False)
                assert window.start_ms == wish.window_start_ms(ms(now), settle_ms)
                assert window.end_ms == TIMEFRAMES[window.timeframe].last_closed_end(ms(now), settle_ms)


def test_a_bar_belongs_to_the_window_once_it_has_settled(store: CandleStore) -> None:
    wanted_series(store, history_ms=HOUR_MS)

    ends = [windows(store, NOON_MS + late_ms, settle_ms=5000)[0].end_ms for late_ms in (0, 4999, 5000)]

    assert ends == [NOON_MS - MINUTE_MS, NOON_MS - MINUTE_MS, NOON_MS]


@pytest.mark.parametrize(
    ("listed", "first_bar"),
    [
        ("2026-03-10T10:00:00", "2026-03-10T10:00:00"),
        ("2026-03-10T10:00:05", "2026-03-10T10:00:00"),  # the bar in which it was listed is wanted
        ("2020-01-01", "2026-03-09T12:00:00"),
    ],
)
def test_a_young_instrument_begins_with_the_bar_of_its_listing(store: CandleStore, listed: str, first_bar: str) -> None:
    wanted_series(store, list_ms=ms(listed))

    assert windows(store)[0].start_ms == ms(first_bar)


def test_an_instrument_listed_after_the_last_closed_bar_has_no_window_yet(store: CandleStore) -> None:
    wanted_series(store, list_ms=ms("2026-03-09"))
    change(store, "instruments", list_time=utc(NOW_MS))

    assert windows(store) == []


def test_a_delisted_instrument_and_a_fixed_span_end_when_they_say(store: CandleStore) -> None:
    wanted_series(store)
    change(store, "instruments", expire_time=utc(NOON_MS - HOUR_MS + 1))
    assert windows(store)[0].end_ms == NOON_MS - HOUR_MS
    change(store, "series", history_ms=None, since=utc(ms("2026-03-01")), until=utc(ms("2026-03-02T00:00:30")))
    (window,) = windows(store)
    assert (window.start_ms, window.end_ms) == (ms("2026-03-01"), ms("2026-03-02"))


def test_retention_bounds_what_is_asked_for_also_by_hand(store: CandleStore) -> None:
    wanted_series(store, history_ms=2 * HOUR_MS)
    change(store, "series", retention_ms=6 * HOUR_MS)

    (window,) = windows(store, from_ms=NOON_MS - 30 * DAY_MS)

    assert window.start_ms == NOON_MS - 6 * HOUR_MS


def test_a_window_by_hand_reaches_further_back_than_the_universe_but_not_past_the_listing(store: CandleStore) -> None:
    wanted_series(store, history_ms=2 * HOUR_MS, list_ms=NOON_MS - 3 * DAY_MS)

    (window,) = windows(store, from_ms=NOON_MS - 2 * DAY_MS - 1, to_ms=NOON_MS - DAY_MS + 1)
    assert (window.start_ms, window.end_ms) == (NOON_MS - 2 * DAY_MS, NOON_MS - DAY_MS)
    (window,) = windows(store, from_ms=NOON_MS - 9 * DAY_MS)
    assert (window.start_ms, window.end_ms) == (NOON_MS - 3 * DAY_MS, NOON_MS)


def test_a_window_by_hand_that_holds_no_bar_is_left_out(store: CandleStore) -> None:
    wanted_series(store, timeframe="1d", history_ms=9 * DAY_MS)

    assert windows(store, from_ms=NOON_MS - HOUR_MS, to_ms=NOON_MS) == []
    assert windows(store, from_ms=NOON_MS + DAY_MS) == []


def test_only_the_named_symbols_and_timeframes_are_looked_at(store: CandleStore) -> None:
    for symbol in ("BTC-USDT", "ETH-USDT"):
        for timeframe in ("1m", "1h"):
            wanted_series(store, symbol, timeframe)

    def names(**which: Any) -> list[tuple[str, str]]:
        return [(window.symbol, window.timeframe) for window in windows(store, **which)]

    assert names() == [("BTC-USDT", "1m"), ("BTC-USDT", "1h"), ("ETH-USDT", "1m"), ("ETH-USDT", "1h")]
    assert names(symbols=["ETH-USDT"]) == [("ETH-USDT", "1m"), ("ETH-USDT", "1h")]
    assert names(symbols=["ETH-USDT"], timeframes=["1h"]) == [("ETH-USDT", "1h")]
    assert names(symbols=[], timeframes=None) == []


def test_a_gap_that_nobody_stored_before_the_listing_is_none(store: CandleStore) -> None:
    window = wanted_series(store, list_ms=NOON_MS - HOUR_MS)
    assert missing_candles(store, window) == 60

    store_bars(store, window, candles(opens(NOON_MS - HOUR_MS, NOON_MS)))

    assert missing_candles(store, window) == 0

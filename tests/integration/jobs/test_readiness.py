"""Which series are ready to be reckoned with, and which are only young."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import pytest

from backfill.domain.intervals import Interval, union
from backfill.domain.timeframes import utc
from backfill.errors import UnknownSymbol, UnknownTimeframe
from backfill.jobs.status.readiness import SeriesReadiness, readiness
from backfill.storage.candle_store import CandleStore
from backfill.storage.multiranges import to_multirange
from backfill.storage.series import Selection, SeriesWindow
from integration.exchange import PaperBlofin, fill, punch
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    candles,
    one,
    opens,
    store_bars,
    wanted_series,
    window_of,
)

NOW = utc(NOW_MS)


@pytest.fixture
def days(store: CandleStore) -> SeriesWindow:
    """250 days, all there."""
    window = wanted_series(store, timeframe="1d", history_ms=250 * DAY_MS)
    store_bars(store, window, candles(opens(window.start_ms, window.end_ms, DAY_MS)))
    return window


def shown(store: CandleStore, at: datetime = NOW) -> dict[str, Any]:
    (row,) = store.rows("series/select_sync_status", Selection(at))
    return row


def ready(store: CandleStore, at: datetime = NOW) -> tuple[bool, int]:
    row = shown(store, at)
    return row["ready"], row["bars_ready"]


# -- bars without a hole -------------------------------------------------------------------------------------


def test_the_bars_after_the_newest_hole_count(store: CandleStore, days: SeriesWindow) -> None:
    assert ready(store) == (True, 250)
    for bars_from_the_end, expected in ((240, (True, 239)), (201, (True, 200)), (200, (False, 199)), (1, (False, 0))):
        punch(store, days, [days.end_ms - bars_from_the_end * DAY_MS])
        assert ready(store) == expected


def test_a_bar_that_has_just_closed_is_a_hole_until_it_is_there(store: CandleStore, days: SeriesWindow) -> None:
    assert ready(store, utc(NOW_MS + DAY_MS)) == (False, 0)


def test_an_established_absence_is_no_hole_and_no_bar(store: CandleStore, days: SeriesWindow) -> None:
    quiet = [days.end_ms - n * DAY_MS for n in (3, 40, 41, 230)]
    punch(store, days, quiet)
    assert ready(store) == (False, 2)

    absent = [Interval(ms, ms + DAY_MS) for ms in quiet]
    store_bars(store, days, candles([days.start_ms]), absent=absent)
    assert ready(store) == (True, 246)

    punch(store, days, [days.end_ms - 100 * DAY_MS])
    assert ready(store) == (False, 99 - 3)


def test_a_bar_proved_to_be_lost_is_a_hole_whatever_the_sources_deny(store: CandleStore, days: SeriesWindow) -> None:
    lost = days.end_ms - 10 * DAY_MS
    punch(store, days, [lost])
    store_bars(store, days, candles([days.start_ms]), absent=[Interval(lost, lost + DAY_MS)])
    store.connection.execute(f"UPDATE backfill.series SET lost = '{{[{lost},{lost + DAY_MS})}}'")

    assert ready(store) == (False, 9)


def test_a_history_shorter_than_200_bars_is_ready_when_it_is_whole(store: CandleStore) -> None:
    window = wanted_series(store, timeframe="1d", history_ms=30 * DAY_MS)
    store_bars(store, window, candles(opens(window.start_ms, window.end_ms, DAY_MS)))

    assert ready(store) == (True, 30)
    assert shown(store)["status"] == "complete"


def test_the_universe_may_ask_for_more_or_fewer(store: CandleStore, days: SeriesWindow) -> None:
    punch(store, days, [days.end_ms - 100 * DAY_MS])
    for bars, expected in ((99, True), (100, False)):
        store.connection.execute("UPDATE backfill.series SET ready_bars = %s", (bars,))
        assert ready(store) == (expected, 99)
    assert one(store.connection, "SELECT bars_ready FROM backfill.sync_status") == 0  # as of the real now


@pytest.mark.parametrize("seed", range(8))
def test_what_is_counted_is_what_counting_bars_one_by_one_says(store: CandleStore, seed: int) -> None:
    window = wanted_series(store, history_ms=2 * HOUR_MS)
    bars = opens(window.start_ms - HOUR_MS, window.end_ms)
    dice = random.Random(seed)
    for _ in range(40):
        rarely = dice.choice((0.02, 0.2, 0.6))
        missing = {ms for ms in bars if dice.random() < rarely}
        absent, no_trade, lost = ({ms for ms in bars if dice.random() < 0.7 * dice.random()} for _ in range(3))
        held = set(bars) - missing
        write_ledger(store, window, held=held, absent=absent, no_trade=no_trade, lost=lost)

        row = shown(store)

        inside = [ms for ms in bars if ms >= window.start_ms]
        explained = (absent | no_trade) - lost
        holes = [ms for ms in inside if ms not in held and ms not in explained]
        run = [ms for ms in inside if ms in held and (not holes or ms > holes[-1])]
        assert (row["missing_candles"], row["bars_ready"]) == (len(holes), len(run))
        assert row["absent_candles"] == len([ms for ms in inside if ms not in held and ms in explained])
        assert row["expected_candles"] == len([ms for ms in inside if ms in held]) + len(holes)
    write_ledger(store, window, held=set(), absent=set(), no_trade=set(), lost=set())  # no candle was really there


def write_ledger(store: CandleStore, window: SeriesWindow, **bars: set[int]) -> None:
    """Say of sets of minutes that they are held, denied, ...; no candles are written."""
    told = {
        name: to_multirange(union(Interval(ms, ms + MINUTE_MS) for ms in minutes)) for name, minutes in bars.items()
    }
    store.connection.execute(
        "UPDATE backfill.series SET held = %(held)s, no_trade = %(no_trade)s, lost = %(lost)s", told
    )
    store.connection.execute("DELETE FROM backfill.absences")
    if bars["absent"]:
        store.connection.execute(
            "INSERT INTO backfill.absences VALUES (%(id)s, 1, 2, '2100-01-01', %(absent)s, 'reported')",
            {"id": window.series_id, **told},
        )


# -- young instruments ---------------------------------------------------------------------------------------


def test_a_coin_younger_than_its_declared_history_is_whole_and_too_short(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    listed_ms = NOW_MS - 6 * HOUR_MS
    window = wanted_series(store, "YOUNG-USDT", "15m", history_ms=DAY_MS, list_ms=listed_ms)
    assert shown(store)["status"] == "pending"

    assert fill(store, exchange, window).missing_after == 0

    row = shown(store)
    assert (row["status"], row["missing_candles"], row["ready"]) == ("insufficient_history", 0, False)
    assert row["bars_ready"] == row["total_candles"]
    assert row["bars_needed"] == 96  # a day has no more
    punch(store, window, [window.end_ms - HOUR_MS])
    assert (shown(store)["status"], ready(store)) == ("gaps", (False, 3))


def test_where_the_listing_time_is_unknown_an_empty_answer_proves_the_start(store: CandleStore) -> None:
    window = wanted_series(store, timeframe="1d", history_ms=250 * DAY_MS)
    first = window.end_ms - 50 * DAY_MS
    store_bars(store, window, candles(opens(first, window.end_ms, DAY_MS)), absent=[Interval(window.start_ms, first)])

    assert (shown(store)["status"], ready(store)) == ("insufficient_history", (False, 50))


def test_a_quiet_minute_at_the_start_makes_no_old_coin_young(store: CandleStore) -> None:
    window = wanted_series(store, history_ms=DAY_MS)
    first = window.start_ms + 3 * MINUTE_MS
    store_bars(store, window, candles(opens(first, window.end_ms)), absent=[Interval(window.start_ms, first)])

    assert (shown(store)["status"], ready(store)) == ("complete", (True, 1437))


def test_a_series_since_a_date_is_complete_from_its_listing_on_once_it_is_ready(store: CandleStore) -> None:
    wanted_series(store, timeframe="1d", list_ms=NOW_MS - 300 * DAY_MS)
    store.connection.execute("UPDATE backfill.series SET history_ms = NULL, since = '2020-01-01'")
    window = window_of(store, "BTC-USDT", "1d")
    store_bars(store, window, candles(opens(window.start_ms, window.end_ms, DAY_MS)))

    assert (shown(store)["status"], ready(store)) == ("complete", (True, 300))
    store.connection.execute("UPDATE backfill.series SET ready_bars = 365")
    assert (shown(store)["status"], ready(store)) == ("insufficient_history", (False, 300))


# -- for other Dags ------------------------------------------------------------------------------------------


def test_the_check_tells_of_the_chosen_series_and_how_many_bars_they_lack(
    store: CandleStore, days: SeriesWindow
) -> None:
    wanted_series(store, "ETH-USDT", "1h", history_ms=10 * DAY_MS)

    assert readiness(store, at=NOW) == [
        SeriesReadiness("BTC-USDT", "1d", "complete", 250, 200, utc(days.end_ms - DAY_MS)),
        SeriesReadiness("ETH-USDT", "1h", "pending", 0, 200, None),
    ]
    (btc,) = readiness(store, symbols=["BTC-USDT"], timeframes=["1d"], bars=251, at=NOW)
    assert (btc.is_ready, btc.is_young, str(btc)) == (False, False, "BTC-USDT 1d (complete): 250 of 251 bars")
    assert [one.symbol for one in readiness(store, timeframes=["1h"], at=NOW)] == ["ETH-USDT"]


def test_a_name_that_is_not_kept_is_an_error(store: CandleStore, days: SeriesWindow) -> None:
    with pytest.raises(UnknownSymbol, match="BTCUSDT"):
        readiness(store, symbols=["BTC-USDT", "BTCUSDT"])
    with pytest.raises(UnknownTimeframe, match="known are 1d"):
        readiness(store, symbols=["BTC-USDT"], timeframes=["4h"])


def test_a_series_whose_window_has_not_begun_is_not_ready(store: CandleStore, days: SeriesWindow) -> None:
    store.connection.execute("UPDATE backfill.instruments SET list_time = %s", (utc(NOW_MS + DAY_MS),))

    assert readiness(store, at=NOW) == [SeriesReadiness("BTC-USDT", "1d", "pending", 0, 200, None)]

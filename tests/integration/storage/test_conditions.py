"""May I use this day? Every condition, its evidence, and that the maintained counts are what counting afresh gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.conditions import conditions, count_changed_days
from backfill.storage.findings import Finding
from backfill.storage.series import Selection, SeriesWindow
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    candles,
    foreign_rows,
    insert_foreign,
    one,
    opens,
    store_bars,
    wanted_series,
)  # fmt: skip

TODAY_MS = NOW_MS // DAY_MS * DAY_MS
# A whole day in the middle of the window.
DAY = Interval(TODAY_MS - 2 * DAY_MS, TODAY_MS - DAY_MS)
FIRST_BARS = [Interval(DAY.start, DAY.start + 3 * MINUTE_MS)]
BEST_FIRST = ("missing", "pending", "doubtful", "degraded", "repaired", "available")


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, history_ms=4 * DAY_MS, sources=("blofin", "okx"))


def day_of(store: CandleStore, window: SeriesWindow, day_ms: int = DAY.start) -> dict[str, Any]:
    """The condition of one day, the same from kept counts as from none at all."""
    which = Selection(utc(NOW_MS), symbols=[window.symbol])
    live = conditions(store, which)
    count_changed_days(store)
    assert one(store.connection, "SELECT count(*) FROM backfill.day_changes") == 0
    kept = conditions(store, which)
    store.connection.execute("SELECT backfill.note_change(%s, '{[0,9999999999999)}')", (window.series_id,))
    afresh = conditions(store, which)
    store.connection.execute("DELETE FROM backfill.day_changes")
    for rows in (live, kept, afresh):
        for row in rows:
            row.pop("changed_at")
    assert kept == live == afresh
    return next(row for row in kept if row["day"] == utc(day_ms).date())


def whole(store: CandleStore, window: SeriesWindow, without: list[Interval] | None = None) -> None:
    lacking = [ms for span in without or [] for ms in opens(*span)]
    store_bars(store, window, candles(set(opens(window.start_ms, window.end_ms)) - set(lacking)))


def absent(store: CandleStore, window: SeriesWindow, *sources: str) -> None:
    for source in sources:
        store_bars(store, window, candles([]), source=source, absent=FIRST_BARS)


def available(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window)


def without_a_trade(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window, FIRST_BARS)
    absent(store, window, "blofin", "okx")


def corrected(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window)
    store_bars(store, window, candles([DAY.start], close=100.5))


def stand_ins(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window, FIRST_BARS)
    store_bars(store, window, candles(opens(*FIRST_BARS[0])), source="okx")


def accused(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window)
    store.findings.record([Finding("price_jump", "suspect", window.series_id, 1, DAY.start, DAY.start + MINUTE_MS)])


def silent_once(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window, FIRST_BARS)
    for source in ("blofin", "okx"):
        store_bars(store, window, candles([]), source=source, absent=FIRST_BARS, fill_run_id=7)


def changed_by_another(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window)
    store.connection.execute("UPDATE backfill.series SET settled = held")
    store.connection.execute("UPDATE backfill.candles SET close = 100.7 WHERE open_time = %s", (utc(DAY.start),))


def refused(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window, FIRST_BARS)
    for source in ("blofin", "okx"):
        with store.page_transaction():
            store.store_page(
                window, store.source_id(source), candles([]), bars=[], refused=FIRST_BARS,
                quarantined=[QuarantinedRow(ms, "high_is_not_highest", [ms]) for ms in opens(*FIRST_BARS[0])],
            )  # fmt: skip


def not_asked(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window, FIRST_BARS)
    absent(store, window, "blofin")


def nothing_at_all(store: CandleStore, window: SeriesWindow) -> None:
    pass


def traded_but_nowhere(store: CandleStore, window: SeriesWindow) -> None:
    without_a_trade(store, window)
    store.connection.execute(
        "UPDATE backfill.series SET lost = %s::int8multirange", (f"{{[{DAY.start},{DAY.start + MINUTE_MS})}}",)
    )


def out_of_reach(store: CandleStore, window: SeriesWindow) -> None:
    whole(store, window, FIRST_BARS)
    store.connection.execute("UPDATE backfill.sources SET reach_bars = 720")


@pytest.mark.parametrize(
    ("make", "condition", "counts"),
    [
        (available, "available", {"expected": 1440, "held": 1440, "missing": 0, "sources": {"blofin": 1440}}),
        (without_a_trade, "available", {"expected": 1437, "held": 1437, "reported_absent": 3, "missing": 0}),
        (corrected, "repaired", {"expected": 1440, "held": 1440}),
        (stand_ins, "degraded", {"held": 1440, "stand_in": 3, "sources": {"blofin": 1437, "okx": 3}}),
        (accused, "doubtful", {"held": 1440, "findings": {"price_jump": 1}}),
        (silent_once, "doubtful", {"held": 1437, "doubtful": 3, "missing": 3}),
        (changed_by_another, "doubtful", {"held": 1440, "missing": 0}),
        (refused, "doubtful", {"held": 1437, "refused": 3, "missing": 0}),
        (not_asked, "pending", {"held": 1437, "missing": 3}),
        (nothing_at_all, "pending", {"held": 0, "missing": 1440, "expected": 1440}),
        (traded_but_nowhere, "missing", {"held": 1437, "missing": 1, "expected": 1438}),
        (out_of_reach, "missing", {"held": 1437, "missing": 3}),
    ],
)
def test_each_condition_comes_with_its_counts_its_reason_and_what_would_change_it(
    store: CandleStore,
    window: SeriesWindow,
    make: Callable[[CandleStore, SeriesWindow], None],
    condition: str,
    counts: dict[str, Any],
) -> None:
    make(store, window)

    day = day_of(store, window)

    assert (day["condition"], {name: day[name] for name in counts}) == (condition, counts)
    assert (day["reason"] is None) == (make is available)
    assert (day["would_change"] is not None) == (condition not in ("available", "repaired"))
    neighbour = day_of(store, window, DAY.end)["condition"]
    assert neighbour == ("pending" if make is nothing_at_all else "available")


@pytest.mark.parametrize("worse", range(len(BEST_FIRST) - 1))
def test_of_several_conditions_the_worst_counts(store: CandleStore, window: SeriesWindow, worse: int) -> None:
    whole(store, window, FIRST_BARS)
    bar = [Interval(DAY.start + i * MINUTE_MS, DAY.start + (i + 1) * MINUTE_MS) for i in range(3)]
    store_bars(store, window, candles([bar[0].start]), source="okx" if worse <= 3 else "blofin")
    store_bars(store, window, candles([DAY.end - MINUTE_MS], close=100.5))  # repaired
    if worse == 2:
        store.findings.record([Finding("price_jump", "suspect", window.series_id, 1, DAY.start, bar[0].end)])
    if worse == 0:
        for source in ("blofin", "okx"):
            store_bars(store, window, candles([]), source=source, absent=bar[1:2])
        lost = f"{{[{bar[1].start},{bar[1].end})}}"
        store.connection.execute("UPDATE backfill.series SET lost = %s::int8multirange", (lost,))
    if worse >= 2:
        store_bars(store, window, candles([one.start for one in bar[1:]]))

    assert day_of(store, window)["condition"] == BEST_FIRST[worse]


def test_every_change_shows_in_the_condition_at_once(store: CandleStore, window: SeriesWindow) -> None:
    """Live ingesters, a person with psql, checks, decisions and time itself; no job runs between."""
    which = Selection(utc(NOW_MS), symbols=[window.symbol], from_ms=DAY.start, to_ms=DAY.end)

    def said() -> str:
        (row,) = conditions(store, which)
        return str(row["condition"])

    seen = [said()]
    store.prepare(window)
    insert_foreign(store.connection, foreign_rows(window.series_id, opens(*DAY)))
    seen.append(said())
    store.connection.execute("DELETE FROM backfill.candles WHERE open_time = %s", (utc(DAY.start),))
    seen.append(said())
    count_changed_days(store)
    absent(store, window, "blofin", "okx")
    seen.append(said())
    count_changed_days(store)
    later = Selection(utc(4_102_444_800_000), symbols=[window.symbol], from_ms=DAY.start, to_ms=DAY.end)
    seen.append(conditions(store, later)[0]["condition"])
    (finding,) = store.findings.record(
        [Finding("flat_bars", "disagree", window.series_id, 1, DAY.start + HOUR_MS, DAY.end)]
    )
    seen.append(said())
    count_changed_days(store)
    assert store.findings.dismiss([finding], "it was a holiday") == []
    seen.append(said())

    assert seen == ["pending", "available", "pending", "available", "pending", "doubtful", "available"]


def test_the_time_of_the_last_change_is_kept_until_something_differs(store: CandleStore, window: SeriesWindow) -> None:
    available(store, window)
    count_changed_days(store)
    which = Selection(utc(NOW_MS), symbols=[window.symbol], from_ms=DAY.start, to_ms=DAY.end)
    (before,) = conditions(store, which)
    store.connection.execute("SELECT backfill.note_change(id, held) FROM backfill.series")
    count_changed_days(store)
    (same,) = conditions(store, which)
    corrected(store, window)
    count_changed_days(store)
    (after,) = conditions(store, which)

    assert before["changed_at"] == same["changed_at"] < after["changed_at"]


@pytest.mark.parametrize(("timeframe", "days", "bars"), [("1h", 4, 24), ("1d", 4, 1), ("1w", 1, 1)])
def test_longer_bars_have_a_day_each_or_a_week(store: CandleStore, timeframe: str, days: int, bars: int) -> None:
    step_ms = {"1h": HOUR_MS, "1d": DAY_MS, "1w": 7 * DAY_MS}[timeframe]
    window = wanted_series(store, "ETH-USDT", timeframe, history_ms=max(4 * DAY_MS, step_ms))
    store_bars(store, window, candles(opens(window.start_ms, window.end_ms, step_ms)))
    rows = conditions(store, Selection(utc(NOW_MS), symbols=["ETH-USDT"]))

    whole_days = [row for row in rows if row["expected"] == bars]
    assert len(whole_days) >= days - 1
    assert {row["condition"] for row in rows} == {"available"}
    count_changed_days(store)
    kept = conditions(store, Selection(utc(NOW_MS), symbols=["ETH-USDT"]))
    assert [row["held"] for row in kept] == [row["held"] for row in rows]

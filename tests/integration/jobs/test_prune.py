"""What is older than its retention goes, with all that is said of it, and no run brings it back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import timeframe, utc
from backfill.jobs.fill.find_gaps import find_gaps, selection
from backfill.jobs.maintain import prune_candles as module
from backfill.jobs.maintain.audit import audit
from backfill.jobs.maintain.prune_candles import PruneReport, prune_candles
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.findings import Finding, FindingsLog
from backfill.storage.retention import Retention
from backfill.storage.series import Selection, SeriesWindow
from integration.exchange import PaperBlofin, assert_equals_market, fill
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    assert_held_is_true,
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
    window_of,
)
from integration.jobs.rolled_up import fill_all, want
from waiting import PATIENCE_S

NOW = utc(NOW_MS)
DAY = timedelta(days=1)


def keep(store: CandleStore, window: SeriesWindow, retention_ms: int | None) -> SeriesWindow:
    """Give a series a retention; its window now."""
    store.connection.execute(
        "UPDATE backfill.series SET retention_ms = %s, history_ms = least(history_ms, %s) WHERE id = %s",
        (retention_ms, retention_ms, window.series_id),
    )
    return window_of(store, window.symbol, window.timeframe)


def stored(store: CandleStore, window: SeriesWindow) -> SeriesWindow:
    """The series with every bar of its window."""
    store_bars(store, window, candles(opens(window.start_ms, window.end_ms, timeframe(window.timeframe).step_ms)))
    return window


def removed(report: PruneReport) -> dict[tuple[str, str], int]:
    return {(row["symbol"], row["timeframe"]): row["candles"] for row in report.series}


def months(store: CandleStore) -> list[str]:
    sql = (
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'backfill.candles'::regclass "
        "AND inhrelid <> 'backfill.candles_default'::regclass ORDER BY 1"
    )
    return [name.removeprefix("backfill.") for (name,) in rows(store.connection, sql)]


# -- what must be seen to hold -------------------------------------------------------------------------------


def test_what_is_older_goes_and_the_next_fill_does_not_bring_it_back(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, timeframe="15m", history_ms=20 * DAY_MS)
    assert fill(store, exchange, window).rows_inserted == 20 * 96
    window = keep(store, window, 14 * DAY_MS)
    exchange.behave()

    report = prune_candles(store, at=NOW)

    assert removed(report) == {("BTC-USDT", "15m"): 6 * 96}
    assert stored_ms(store.connection, window) == opens(window.start_ms, window.end_ms, 15 * MINUTE_MS)
    assert held_ms(store.connection, window) == [Interval(window.start_ms, window.end_ms)]
    again = fill(store, exchange, window)
    assert (again.status, again.missing_before, again.requests, exchange.asked) == ("complete", 0, 0, [])
    assert find_gaps(store, selection(NOW, 5)) == []
    assert removed(prune_candles(store, at=NOW)) == {}


def test_not_even_a_start_named_by_hand_or_a_recheck_reaches_behind_the_retention(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    window = keep(store, wanted_series(store, timeframe="15m", history_ms=20 * DAY_MS), 14 * DAY_MS)
    assert fill(store, exchange, window).status == "complete"
    long_ago = selection(NOW, 0, start=NOW - 300 * DAY)

    (asked_for,) = store.windows(long_ago)
    exchange.behave()
    fill(store, exchange, asked_for, recheck=True)

    assert asked_for.start_ms == window.start_ms
    assert min(stored_ms(store.connection, window)) == window.start_ms
    assert find_gaps(store, long_ago) == []
    assert store.windows(selection(NOW, 0, start=NOW - 300 * DAY, end=NOW - 15 * DAY)) == []


def test_bars_before_the_retention_are_not_had_for_the_sake_of_coarser_ones(
    store: CandleStore, exchange: PaperBlofin, database_uri: str
) -> None:
    quarters = keep(store, want(store, "15m", history_ms=3 * DAY_MS), 3 * DAY_MS)
    days = want(store, "1d", history_ms=3 * DAY_MS)  # their first bar begins twelve hours earlier

    fill_all(database_uri, exchange, [quarters, days])

    assert min(stored_ms(store.connection, quarters)) == quarters.start_ms
    assert find_gaps(store, selection(NOW, 5)) == []


def test_what_is_left_is_what_the_exchange_says(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, timeframe="1h", history_ms=10 * DAY_MS)
    fill(store, exchange, window)
    window = keep(store, window, 3 * DAY_MS)

    prune_candles(store, at=NOW)

    assert_equals_market(store, window, exchange.market)


# -- what goes and what stays --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1m", "15m", "1d", "1w"])
def test_the_first_bar_kept_is_the_first_bar_of_the_window(store: CandleStore, name: str) -> None:
    step_ms = timeframe(name).step_ms
    window = stored(store, wanted_series(store, timeframe=name, history_ms=20 * step_ms))
    window = keep(store, window, 5 * step_ms)

    prune_candles(store, at=NOW)

    assert stored_ms(store.connection, window) == opens(window.start_ms, window.end_ms, step_ms)
    assert len(stored_ms(store.connection, window)) == 5


def test_series_without_a_retention_and_those_no_longer_wanted_keep_all(store: CandleStore) -> None:
    kept = stored(store, wanted_series(store, "ETH-USDT", "1h", history_ms=10 * DAY_MS))
    dropped_from_file = stored(store, wanted_series(store, "SOL-USDT", "1h", history_ms=10 * DAY_MS))
    keep(store, dropped_from_file, DAY_MS)
    store.connection.execute("UPDATE backfill.series SET wanted = false WHERE id = %s", (dropped_from_file.series_id,))

    assert prune_candles(store, at=NOW).totals() == {"candles": 0, "partitions": 0, "left": 0}

    assert len(stored_ms(store.connection, kept)) == len(stored_ms(store.connection, dropped_from_file)) == 240


def test_what_is_said_of_the_bars_goes_with_them_and_their_former_selves_stay(store: CandleStore) -> None:
    window = stored(store, wanted_series(store, "BTC-USDT", "1h", history_ms=10 * DAY_MS, sources=["blofin", "okx"]))
    start, cut = window.start_ms, window.end_ms - 5 * DAY_MS
    before, across, after = (
        Interval(start, start + DAY_MS), Interval(cut - DAY_MS, cut + DAY_MS), Interval(cut + DAY_MS, window.end_ms)
    )  # fmt: skip
    spans = "{" + ",".join(f"[{span.start},{span.end})" for span in (before, across)) + "}"
    store.connection.execute(
        "UPDATE backfill.series SET stand_in = %(s)s, settled = %(s)s, no_trade = %(s)s, lost = %(s)s", {"s": spans}
    )
    store.connection.execute(
        "INSERT INTO backfill.absences SELECT %(id)s, src, 1, now() + interval '1 day', span::int8multirange FROM "
        "(VALUES (1, %(before)s), (2, %(both)s)) AS told (src, span)",
        {"id": window.series_id, "before": f"{{[{before.start},{before.end})}}", "both": spans},
    )
    log = FindingsLog(store.connection)
    for span in (before, across, after):
        log.record([
            Finding("cross_source", "agree", window.series_id, 2, span.start, span.end, status="settled"),
            Finding("lost_bars", "lost", window.series_id, 1, span.start, span.end),
        ])  # fmt: skip
    store.connection.execute(
        "INSERT INTO backfill.revisions (series_id, open_time, reason, open, high, low, close, source_id, "
        "new_source_id) SELECT series_id, open_time, 'manual', 1, 1, 1, 1, 1, 1 FROM backfill.candles"
    )
    keep(store, window, 5 * DAY_MS)

    prune_candles(store, at=NOW)

    kept = [(cut, cut + DAY_MS)]
    ledger = rows(store.connection, "SELECT stand_in, settled, no_trade, lost FROM backfill.series")[0]
    assert [[(one.lower, one.upper) for one in each] for each in ledger] == [kept] * 4
    absent = rows(store.connection, "SELECT source_id, absent FROM backfill.absences")
    assert [(source, [(one.lower, one.upper) for one in each]) for source, each in absent] == [(2, kept)]
    found = rows(store.connection, "SELECT kind, start_time, status FROM backfill.findings ORDER BY kind, start_time")
    assert found == [
        ("cross_source", utc(across.start), "settled"),
        ("cross_source", utc(after.start), "settled"),
        ("lost_bars", utc(before.start), "settled"),
        ("lost_bars", utc(across.start), "open"),
        ("lost_bars", utc(after.start), "open"),
    ]
    assert one(store.connection, "SELECT count(*) FROM backfill.revisions") == 240
    store.connection.execute("UPDATE backfill.series SET stand_in = '{}'")  # no candle of okx was really there


def test_a_dry_run_tells_the_same_and_removes_nothing(store: CandleStore) -> None:
    window = stored(store, wanted_series(store, timeframe="1h", history_ms=100 * DAY_MS))
    keep(store, window, 5 * DAY_MS)

    planned = prune_candles(store, at=NOW, dry_run=True)

    assert len(stored_ms(store.connection, window)) == 2400
    done = prune_candles(store, at=NOW)
    assert (planned.dropped, planned.series) == (done.dropped, done.series)
    assert removed(done) == {("BTC-USDT", "1h"): 95 * 24}


def test_rows_that_the_ledger_does_not_know_go_too(store: CandleStore) -> None:
    window = keep(store, stored(store, wanted_series(store, timeframe="1h", history_ms=DAY_MS)), DAY_MS)
    long_ago = window.start_ms - 400 * DAY_MS
    off_the_grid = long_ago + 90_000
    insert_foreign(store.connection, foreign_rows(window.series_id, [long_ago, off_the_grid]))

    report = prune_candles(store, at=NOW)

    assert removed(report) == {("BTC-USDT", "1h"): 2}
    assert stored_ms(store.connection, window) == opens(window.start_ms, window.end_ms, HOUR_MS)


# -- how it goes ---------------------------------------------------------------------------------------------


def test_months_that_nobody_wants_are_dropped_and_the_rest_is_deleted(store: CandleStore) -> None:
    window = stored(store, wanted_series(store, timeframe="1h", history_ms=100 * DAY_MS))  # since 2025-11-30
    keep(store, window, 20 * DAY_MS)  # since 2026-02-18

    report = prune_candles(store, at=NOW)

    assert report.dropped == ["candles_y2025m11", "candles_y2025m12", "candles_y2026m01"]
    assert months(store) == ["candles_y2026m02", "candles_y2026m03"]
    assert removed(report) == {("BTC-USDT", "1h"): 80 * 24}
    assert_held_is_true(store.connection)


def test_the_audit_has_nothing_to_say_of_what_is_left(store: CandleStore) -> None:
    window = stored(store, wanted_series(store, timeframe="1h", history_ms=100 * DAY_MS))
    keep(store, window, 20 * DAY_MS)
    keep(store, stored(store, wanted_series(store, "ETH-USDT", "15m", history_ms=30 * DAY_MS)), 10 * DAY_MS)

    assert prune_candles(store, at=NOW).totals()["partitions"] == 3

    assert audit(store, at=NOW).lines == []


def test_a_month_that_one_series_still_wants_stays(store: CandleStore) -> None:
    short = stored(store, wanted_series(store, "BTC-USDT", "1h", history_ms=100 * DAY_MS))
    long = wanted_series(store, "ETH-USDT", "1h", history_ms=100 * DAY_MS)  # nothing of it is there yet
    keep(store, short, 20 * DAY_MS)

    report = prune_candles(store, at=NOW)

    assert report.dropped == []
    assert len(months(store)) == 5
    assert removed(report) == {("BTC-USDT", "1h"): 80 * 24}
    keep(store, long, 20 * DAY_MS)
    assert prune_candles(store, at=NOW).dropped == ["candles_y2025m11", "candles_y2025m12", "candles_y2026m01"]


def test_a_month_with_rows_of_somebody_else_stays(store: CandleStore) -> None:
    window = stored(store, wanted_series(store, timeframe="1h", history_ms=100 * DAY_MS))
    insert_foreign(store.connection, foreign_rows(999, [window.start_ms + 40 * DAY_MS]))  # 2026-01-09, no such series
    keep(store, window, 20 * DAY_MS)

    assert prune_candles(store, at=NOW).dropped == ["candles_y2025m11", "candles_y2025m12"]

    assert one(store.connection, "SELECT count(*) FROM backfill.candles WHERE series_id = 999") == 1


def test_a_month_that_cannot_be_had_is_deleted_row_by_row(store: CandleStore, database_uri: str) -> None:
    window = stored(store, wanted_series(store, timeframe="1h", history_ms=100 * DAY_MS))
    keep(store, window, 20 * DAY_MS)
    with connect(database_uri) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM backfill.candles")

        report = prune_candles(store, at=NOW)

    assert report.dropped == []
    assert [line.split(" could")[0] for line in report.left] == [
        "candles_y2025m11", "candles_y2025m12", "candles_y2026m01"
    ]  # fmt: skip
    assert removed(report) == {("BTC-USDT", "1h"): 80 * 24}


def test_many_bars_go_in_short_transactions(store: CandleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BARS_AT_ONCE", 100)
    window = wanted_series(store, timeframe="1h", history_ms=60 * DAY_MS)
    hours = opens(window.start_ms, window.end_ms, HOUR_MS)
    store_bars(store, window, candles(hours[:300] + hours[900:]))
    keep(store, window, 5 * DAY_MS)
    lengths: list[int] = []
    delete = Retention.delete_before

    def counted(self: Retention, series_id: int, past_ms: int) -> int:
        lengths.append(delete(self, series_id, past_ms))
        assert_held_is_true(store.connection)
        return lengths[-1]

    monkeypatch.setattr(Retention, "delete_before", counted)
    store.connection.execute("INSERT INTO backfill.candles SELECT 999, open_time, 1, 1, 1, 1, 1, 1, 1 "
                             "FROM backfill.candles")  # no month can be dropped  # fmt: skip

    prune_candles(store, at=NOW)

    assert sum(lengths) == 300 + 420
    assert max(lengths) == 100


def test_a_series_that_somebody_works_on_is_left_to_the_next_run(
    store: CandleStore, database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    both = [
        stored(store, wanted_series(store, symbol, "1h", history_ms=2 * DAY_MS)) for symbol in ("AAA-USDT", "BBB-USDT")
    ]
    for window in both:
        keep(store, window, DAY_MS)
    with CandleStore(connect(database_uri)) as other, other.working_on(both[0], 0):
        report = prune_candles(store, at=NOW)

    assert removed(report) == {("BBB-USDT", "1h"): 24}
    assert report.totals()["left"] == 1
    assert removed(prune_candles(store, at=NOW)) == {("AAA-USDT", "1h"): 24}


def test_a_bar_that_a_stranger_writes_meanwhile_is_held_or_gone(store: CandleStore, database_uri: str) -> None:
    window = keep(store, stored(store, wanted_series(store, timeframe="1h", history_ms=2 * DAY_MS)), DAY_MS)
    with connect(database_uri) as stranger, ThreadPoolExecutor(1) as thread:
        with stranger.transaction():
            insert_foreign(stranger, foreign_rows(window.series_id, [window.start_ms - 3 * DAY_MS]))
            pruning = thread.submit(prune_candles, store, at=NOW)
            wait_until_blocked(stranger)
        pruning.result(timeout=PATIENCE_S)

    assert_held_is_true(store.connection)
    prune_candles(store, at=NOW)
    assert min(stored_ms(store.connection, window)) == window.start_ms


def test_killed_in_the_middle_it_has_removed_whole_batches(store: CandleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BARS_AT_ONCE", 10)
    window = keep(store, stored(store, wanted_series(store, timeframe="1h", history_ms=4 * DAY_MS)), DAY_MS)
    steps: list[int] = []

    def stop(self: module._Pruning, one_series: module.PrunableSeries) -> int:
        if len(steps) == 2:
            raise KeyboardInterrupt
        steps.append(1)
        return original(self, one_series)

    original = module._Pruning._next_end_ms
    monkeypatch.setattr(module._Pruning, "_next_end_ms", stop)
    with pytest.raises(KeyboardInterrupt):
        prune_candles(store, at=NOW)

    assert min(stored_ms(store.connection, window)) == window.start_ms - 3 * DAY_MS + 20 * HOUR_MS
    assert_held_is_true(store.connection)
    monkeypatch.undo()
    assert removed(prune_candles(store, at=NOW)) == {("BTC-USDT", "1h"): 52}


def test_a_window_as_a_task_sees_it_right_after_has_no_gap_at_its_start(store: CandleStore) -> None:
    window = keep(store, stored(store, wanted_series(store, history_ms=2 * HOUR_MS)), HOUR_MS)

    prune_candles(store, at=NOW + timedelta(seconds=32), settle_ms=5000)  # the bar of 12:00 is over but has not settled

    assert store.windows(Selection(NOW + timedelta(seconds=32), settle_ms=5000))[0].start_ms == window.start_ms
    assert min(stored_ms(store.connection, window)) == window.start_ms

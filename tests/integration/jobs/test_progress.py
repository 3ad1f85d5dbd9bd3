"""How much is left, how fast the last runs were, and when that will be done."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backfill.domain.timeframes import utc
from backfill.domain.venues import venue
from backfill.jobs.fill.progress import Progress, progress
from backfill.sources.request_budget import RunBudget
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection, SeriesWindow
from integration.exchange import PaperBlofin, fill
from integration.helpers import DAY_MS, NOON_MS, NOW_MS, wanted_series

AT = utc(NOW_MS)
WEEK_MS, WEEK_BARS = 7 * DAY_MS, 7 * 1440


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, history_ms=WEEK_MS)


def rows_of(source: str) -> int:
    return venue(source).rows_per_page


def progress_of(store: CandleStore, left: int = WEEK_BARS, **which: list[str]) -> Progress:
    return progress(store, Selection(AT, **which), left, rows_per_page=rows_of)  # type: ignore[arg-type]


def log_run(
    store: CandleStore,
    window: SeriesWindow,
    *,
    ended: timedelta,
    took: timedelta,
    closed: int,
    run: str = "a run",
    status: str = "partial",
    validation: str | None = None,
) -> None:
    """A line of the run log; ``ended``: how long ago. A running one has stored ``closed`` rows so far."""
    is_running = status == "running"
    store.connection.execute(
        "INSERT INTO backfill.gap_fill_runs (dag_id, run_id, task_id, series_id, symbol, timeframe, window_start,"
        " window_end, status, gaps_found, missing_before, missing_after, rows_inserted, coverage_before, validation,"
        " started_at, finished_at) "
        "VALUES ('a_dag', %s, 'fill', %s, %s, %s, %s, %s, %s, 1, 10000, %s, %s, 0, %s, %s, %s)",
        (
            *(run, window.series_id, window.symbol, window.timeframe, utc(window.start_ms), utc(window.end_ms), status),
            *(None if is_running else 10_000 - closed, closed, validation, AT - ended - took),
            None if is_running else AT - ended,
        ),
    )


HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def test_where_nothing_ever_ran_there_is_no_rate(store: CandleStore, window: SeriesWindow) -> None:
    told = progress_of(store)

    assert (told.candles_left, told.requests_left) == (WEEK_BARS, 7)
    assert (told.candles_per_hour, told.hours_left, told.runs) == (None, None, 0)
    assert str(told) == (
        "10,080 candles are missing, about 7 requests; no run of the last 24 hours shows how long that takes"
    )


def test_what_is_left_takes_as_long_as_the_last_runs_took_for_as_much(store: CandleStore, window: SeriesWindow) -> None:
    log_run(store, window, ended=HOUR, took=15 * MINUTE, closed=1000, run="older")
    log_run(store, window, ended=MINUTE, took=15 * MINUTE, closed=2000, run="newer")

    told = progress_of(store, left=9000)

    assert (told.candles_per_hour, told.hours_left, told.runs) == (pytest.approx(6000), pytest.approx(1.5), 2)
    assert str(told).endswith("the last 2 runs closed 6,000 an hour: 1 h 30 min to go")


def test_series_that_are_filled_side_by_side_take_their_time_once(store: CandleStore, window: SeriesWindow) -> None:
    other = wanted_series(store, "ETH-USDT", history_ms=WEEK_MS)
    log_run(store, window, ended=MINUTE, took=30 * MINUTE, closed=1000)
    log_run(store, other, ended=MINUTE, took=20 * MINUTE, closed=1000)

    assert progress_of(store).candles_per_hour == pytest.approx(4000)
    assert progress_of(store, symbols=["ETH-USDT"]).candles_per_hour == pytest.approx(3000)


def test_runs_with_nothing_to_do_or_long_ago_or_killed_tell_no_rate(store: CandleStore, window: SeriesWindow) -> None:
    log_run(store, window, ended=MINUTE, took=MINUTE, closed=0, run="idle", status="complete")
    log_run(store, window, ended=25 * HOUR, took=HOUR, closed=5000, run="yesterday")
    log_run(store, window, ended=MINUTE, took=HOUR, closed=5000, run="killed", status="abandoned")
    log_run(store, window, ended=MINUTE, took=HOUR, closed=5000, run="killed, not noticed", status="running")
    log_run(store, window, ended=MINUTE, took=HOUR, closed=5000, run="no fill", validation="{}")

    assert progress_of(store).candles_per_hour is None


def test_a_run_that_is_still_at_work_counts_with_what_it_has_stored(store: CandleStore, window: SeriesWindow) -> None:
    log_run(store, window, ended=timedelta(), took=HOUR, closed=5000, status="running")

    with store.working_on(window, 1):
        assert progress_of(store, left=2500).hours_left == pytest.approx(0.5)


def test_only_the_last_few_runs_tell_the_rate(store: CandleStore, window: SeriesWindow) -> None:
    for hours, closed in ((4, 90_000), (3, 10), (2, 10), (1, 10)):
        log_run(store, window, ended=hours * HOUR, took=MINUTE, closed=min(closed, 10_000), run=f"run {hours}")

    assert progress_of(store).candles_per_hour == pytest.approx(600)


def test_a_burst_that_cannot_last_promises_nothing_that_the_limits_forbid(store: CandleStore) -> None:
    years = wanted_series(store, history_ms=3650 * DAY_MS)
    log_run(store, years, ended=MINUTE, took=timedelta(seconds=1), closed=10_000)

    told = progress_of(store, left=3650 * 1440)

    assert told.requests_left == 3650
    assert told.hours_left == pytest.approx(2 * 300 / 3600)  # of 1500 requests in 300 s
    assert str(told).endswith("10 min to go")


def test_when_all_is_held_nothing_is_left_to_wait_for(store: CandleStore, window: SeriesWindow) -> None:
    log_run(store, window, ended=MINUTE, took=MINUTE, closed=10)

    told = progress_of(store, left=0)

    assert (told.requests_left, told.hours_left) == (0, 0.0)


def test_a_run_cut_short_by_its_budget_tells_when_the_next_ones_will_be_done(
    store: CandleStore, exchange: PaperBlofin, window: SeriesWindow
) -> None:
    report = fill(store, exchange, window, within=RunBudget(most_requests=3))
    at = store.now()

    told = progress(
        store, Selection(at, symbols=["BTC-USDT"], to_ms=NOON_MS), report.missing_after, rows_per_page=rows_of
    )

    assert report.requests_left == 4
    assert told.candles_per_hour
    assert told.hours_left == pytest.approx(report.missing_after / told.candles_per_hour)


def test_a_series_that_another_exchange_is_primary_to_counts_its_pages(store: CandleStore) -> None:
    wanted_series(store, history_ms=WEEK_MS, sources=("okx", "blofin"))

    assert progress_of(store).requests_left == 34  # of 300 rows

"""Old runs and answers go from the log; what anything still names stays."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from backfill.domain.timeframes import DAY_MS, utc
from backfill.jobs.maintain.prune_run_log import PrunedRunLog, prune_run_log
from backfill.storage import retention
from backfill.storage.candle_store import CandleStore
from integration.helpers import NOW_MS, rows, wanted_series

NOW = utc(NOW_MS)
RUN = """
INSERT INTO backfill.gap_fill_runs (dag_id, run_id, task_id, symbol, timeframe, window_start, window_end, gaps_found,
                                    missing_before, coverage_before, series_id, started_at, status, validation)
VALUES ('d', 'r', 't', 'BTC-USDT', '1h', '2020-01-01', '2020-01-01', 0, 0, 100, %s, %s, %s,
        CASE WHEN %s THEN '{}'::jsonb END)
RETURNING id
"""
NAMED_BY = {
    "revisions": "INSERT INTO backfill.revisions (series_id, open_time, reason, open, high, low, close, source_id, "
    "new_source_id, fill_run_id) VALUES (1, '2020-01-01', 'manual', 1, 1, 1, 1, 1, 1, %s)",
    "quarantine": "INSERT INTO backfill.quarantine (series_id, source_id, rule, payload, fill_run_id) "
    "VALUES (1, 1, 'not_closed', '{}', %s)",
    "findings": "INSERT INTO backfill.findings (kind, verdict, series_id, status, fill_run_id) "
    "VALUES ('flat_bars', 'suspect', 1, 'settled', %s)",
    "absences": "INSERT INTO backfill.absences (series_id, source_id, grade, confirmations, expires_at, first_seen_at, "
    "fill_run_id, absent) VALUES (1, 1, 'reported', 3, '2020-01-01', '2020-01-01', %s, '{[0, 60000)}')",
}


def run(
    store: CandleStore, days_ago: float, *, series_id: int = 1, status: str = "complete", validates: bool = False
) -> int:
    at = NOW - timedelta(days=days_ago)
    return int(rows(store.connection, RUN, (series_id, at, status, validates))[0][0])


def answer(store: CandleStore, at: datetime) -> None:
    store.connection.execute(
        "INSERT INTO backfill.source_attempts (source_id, outcome, requests, rows, recorded_at) "
        "VALUES (1, 'candles', 1, 1, %s)",
        (at,),
    )


def left(store: CandleStore) -> list[int]:
    return [number for (number,) in rows(store.connection, "SELECT id FROM backfill.gap_fill_runs ORDER BY id")]


def test_what_is_older_goes_but_for_each_series_last_fill_and_validation(
    store: CandleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 2)  # several laps
    old = [run(store, days) for days in (40, 39, 38, 37, 36)]
    last_validation = run(store, 35, validates=True)
    last_of_another = run(store, 34, series_id=2)
    never_ended = run(store, 33, status="running")
    new = [run(store, 30), run(store, 29)]
    for days in (31, 30.5, 30, 1):
        answer(store, NOW - timedelta(days=days))

    planned = prune_run_log(store, 30 * DAY_MS, dry_run=True, at=NOW)
    assert left(store) == [*old, last_validation, last_of_another, never_ended, *new]
    done = prune_run_log(store, 30 * DAY_MS, at=NOW)

    assert planned == done == PrunedRunLog(runs=5, answers=2)
    assert left(store) == [last_validation, last_of_another, never_ended, *new]
    assert prune_run_log(store, 30 * DAY_MS, at=NOW) == PrunedRunLog()


@pytest.mark.parametrize("table", NAMED_BY)
def test_a_run_that_anything_names_stays(store: CandleStore, table: str) -> None:
    wanted_series(store)
    named, _, last = run(store, 40), run(store, 40), run(store, 1)
    store.connection.execute(NAMED_BY[table], (named,))

    prune_run_log(store, 30 * DAY_MS, at=NOW)

    assert left(store) == [named, last]


def test_without_a_retention_nothing_is_read_or_removed(store: CandleStore) -> None:
    kept = [run(store, 4000), run(store, 1)]
    assert prune_run_log(store, None, at=NOW) == PrunedRunLog()
    assert left(store) == kept

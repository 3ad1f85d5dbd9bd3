"""GapDetectSensor by itself: what it finds, in which order, and how it waits."""

from __future__ import annotations

import pytest


@pytest.fixture
def sensor(db):
    from backfill.sensors.gap_detect import GapDetectSensor

    return lambda **arguments: GapDetectSensor(task_id="detect_gaps", **arguments)


@pytest.fixture
def filled(db, context):
    """Nothing is missing."""
    from backfill.operators.blofin_candles import BlofinCandlesOperator

    BlofinCandlesOperator(task_id="a_task", symbol="BTC-USDT,ETH-USDT").execute(context)


def delete_bar(db, symbol, open_time):
    db.execute(
        "DELETE FROM candles AS c USING series AS s, instruments AS i WHERE s.id = c.series_id AND s.timeframe = '1m'"
        " AND i.id = s.instrument_id AND i.symbol = %s AND c.open_time = %s",
        [symbol, open_time],
    )


def test_an_empty_store_lacks_every_symbol(sensor, context):
    assert sensor().execute(context) == ["BTC-USDT", "ETH-USDT"]


def test_nothing_missing_is_an_empty_list(filled, sensor, context):
    assert sensor().execute(context) == []


def test_the_symbol_with_the_newest_gap_comes_first(filled, db, sensor, context):
    delete_bar(db, "BTC-USDT", "2025-03-02T22:00Z")
    delete_bar(db, "ETH-USDT", "2025-03-02T19:00Z")
    assert sensor().execute(context) == ["BTC-USDT", "ETH-USDT"]
    delete_bar(db, "ETH-USDT", "2025-03-02T23:00Z")
    assert sensor().execute(context) == ["ETH-USDT", "BTC-USDT"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"symbols": "ETH-USDT"}, []),
        ({"symbols": ["BTC-USDT"], "timeframes": "1m"}, ["BTC-USDT"]),
        ({"timeframes": "1h"}, []),
        ({"start": "2025-03-02T22:00Z"}, ["BTC-USDT"]),
        ({"start": "2025-03-02T22:01Z"}, []),
        ({"end": "2025-03-02T22:01Z"}, ["BTC-USDT"]),
        ({"end": "2025-03-02T22:00Z"}, []),
    ],
)
def test_it_looks_only_where_it_is_told_to(arguments, found, filled, db, sensor, context):
    delete_bar(db, "BTC-USDT", "2025-03-02T22:00Z")
    assert sensor(**arguments).execute(context) == found


def test_more_symbols_than_airflow_maps_over_come_in_batches(declare, sensor, context):
    declare("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT")
    found = sensor(most_items=2).execute(context)
    assert found == ["BTC-USDT,ETH-USDT,XRP-USDT", "DOGE-USDT,SOL-USDT"]


def test_an_unknown_symbol_is_an_error_and_not_an_empty_list(sensor, context):
    from backfill.hooks.refusal import RunRefused

    with pytest.raises(RunRefused, match="unknown symbol 'NOPE-USDT'"):
        sensor(symbols="NOPE-USDT").execute(context)


def test_runs_of_killed_processes_are_marked(filled, db, sensor, context):
    db.execute("UPDATE gap_fill_runs SET status = 'running', finished_at = NULL, error = NULL WHERE timeframe = '1h'")
    sensor().execute(context)
    ended = db.execute("SELECT timeframe, status, finished_at, error FROM gap_fill_runs").fetchall()
    assert {row["status"] for row in ended if row["timeframe"] == "1h"} == {"abandoned"}
    assert {row["error"] for row in ended if row["timeframe"] == "1h"} == {
        "the process ended without finishing its run"
    }
    assert all(row["finished_at"] for row in ended)
    assert {row["status"] for row in ended if row["timeframe"] == "1m"} == {"complete"}


def test_waiting_in_a_worker_ends_with_the_timeout(filled, sensor, context):
    from airflow.providers.common.compat.sdk import AirflowSensorTimeout

    with pytest.raises(AirflowSensorTimeout):
        sensor(wait_for_gaps=True, poke_interval=0, timeout=0).execute(context)


def test_deferred_it_waits_in_the_triggerer_until_a_gap_opens(filled, db, sensor, context):
    from airflow.providers.common.compat.sdk import TaskDeferred

    waiting = sensor(wait_for_gaps=True, deferrable=True, poke_interval=30)
    with pytest.raises(TaskDeferred) as first:
        waiting.execute(context)
    classpath, _ = first.value.trigger.serialize()
    assert classpath == "airflow.providers.standard.triggers.temporal.DateTimeTrigger"
    assert first.value.kwargs == {"waited_s": 30}

    with pytest.raises(TaskDeferred) as second:
        waiting.resume_execution(first.value.method_name, first.value.kwargs, context)
    assert second.value.kwargs == {"waited_s": 60}

    delete_bar(db, "ETH-USDT", "2025-03-02T20:00Z")
    assert waiting.resume_execution(second.value.method_name, second.value.kwargs, context) == ["ETH-USDT"]


def test_deferred_it_still_ends_with_the_timeout(filled, sensor, context):
    from airflow.providers.common.compat.sdk import AirflowSensorTimeout

    waiting = sensor(wait_for_gaps=True, deferrable=True, poke_interval=30, timeout=60)
    with pytest.raises(AirflowSensorTimeout, match="no gap has opened in 60 s"):
        waiting.resume_execution("look_again", {"waited_s": 60.0}, context)


def test_deferrable_without_waiting_answers_at_once(filled, sensor, context):
    assert sensor(deferrable=True).execute(context) == []

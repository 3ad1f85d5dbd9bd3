"""``candles_fill_gaps`` is wired as it is drawn, and takes what its trigger form offers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from backfill.config.parameters import as_moment
from backfill.domain.timeframes import TIMEFRAMES


def test_it_runs_every_30_minutes_one_run_at_a_time_and_never_catches_up(fill_gaps_dag):
    schedule = (
        fill_gaps_dag.schedule_interval if hasattr(fill_gaps_dag, "schedule_interval") else fill_gaps_dag.schedule
    )
    assert schedule == "*/30 * * * *"
    assert fill_gaps_dag.catchup is False
    assert fill_gaps_dag.max_active_runs == 1


def test_gaps_are_detected_then_filled_and_validated_by_symbol_then_reported(fill_gaps_dag):
    arrows = {task.task_id: task.downstream_task_ids for task in fill_gaps_dag.tasks}
    assert arrows["fill_from_blofin"] == {"detect_leftovers"}
    assert arrows["detect_leftovers"] == {"fill_from_fallback"}
    assert arrows["fill_from_fallback"] == {"validate"}
    assert (arrows["validate"], arrows["report"], arrows["announce"]) == ({"report", "announce"}, set(), set())
    types = {task.task_id: task.task_type for task in fill_gaps_dag.tasks}
    assert types == {
        "detect_gaps": "GapDetectSensor",
        "fill_from_blofin": "BlofinCandlesOperator",
        "detect_leftovers": "LeftoversOperator",
        "fill_from_fallback": "CcxtFallbackOperator",
        "validate": "ValidateOperator",
        "report": "ReportOperator",
        "announce": "AnnounceOperator",
    }


@pytest.mark.parametrize(
    ("task", "lister"),
    [("fill_from_blofin", "detect_gaps"), ("fill_from_fallback", "detect_leftovers"), ("validate", "detect_gaps")],
)
def test_each_stage_is_mapped_over_the_symbols_that_need_it_and_labelled_by_them(task, lister, fill_gaps_dag):
    mapped = fill_gaps_dag.get_task(task)
    assert {source.task_id for source in mapped.iter_mapped_dependencies()} == {lister}
    label = fill_gaps_dag.get_template_env().from_string(mapped.partial_kwargs["map_index_template"])
    assert label.render(task=SimpleNamespace(symbol="BTC-USDT,ETH-USDT")) == "BTC-USDT,ETH-USDT"
    assert len(label.render(task=SimpleNamespace(symbol="BTC-USDT," * 100))) <= 250  # what Airflow shows


@pytest.mark.parametrize("task", ["report", "announce"])
def test_a_run_is_reported_and_announced_whatever_became_of_the_rest(fill_gaps_dag, task):
    assert fill_gaps_dag.get_task(task).trigger_rule == "all_done"


def test_a_task_that_hangs_is_ended(fill_gaps_dag):
    assert {task.execution_timeout for task in fill_gaps_dag.tasks} == {timedelta(hours=2)}


@pytest.mark.parametrize(
    "conf",
    [
        {},
        {"symbols": ["BTC-USDT", "1000BONK-USDT"], "timeframes": list(TIMEFRAMES), "recheck": True},
        {"start": "2025-03-01T00:00:00Z", "end": None},
    ],
)
def test_the_form_takes(conf, fill_gaps_dag):
    fill_gaps_dag.params.update(conf)
    fill_gaps_dag.params.validate()


@pytest.mark.parametrize(
    "conf",
    [
        {"symbols": "BTC-USDT"},
        {"symbols": ["btcusdt"]},
        {"timeframes": ["7m"]},
        {"start": 20250301},
        {"recheck": "maybe"},
    ],
)
def test_the_form_refuses(conf, fill_gaps_dag):
    from airflow.providers.common.compat.sdk import ParamValidationError

    with pytest.raises(ParamValidationError):
        fill_gaps_dag.params.update(conf)


def test_all_tasks_of_a_run_mean_the_same_bars_however_late_they_start(fill_gaps_dag):
    tasks = [task for task in fill_gaps_dag.tasks if task.task_id not in ("report", "announce")]
    (end,) = {task.partial_kwargs["end"] if hasattr(task, "partial_kwargs") else task.end for task in tasks}
    moment = datetime(2026, 11, 21, 4, 30, tzinfo=timezone.utc)
    template = fill_gaps_dag.get_template_env().from_string(end)
    run = SimpleNamespace(run_after=moment)

    assert as_moment("end", template.render(params={"end": None}, dag_run=run)) == moment
    assert template.render(params={"end": "2026-11-01T00:00Z"}, dag_run=run) == "2026-11-01T00:00Z"
    # Airflow 2 knows no such moment: there the last closed bar it is.
    assert as_moment("end", template.render(params={"end": None}, dag_run=SimpleNamespace())) is None

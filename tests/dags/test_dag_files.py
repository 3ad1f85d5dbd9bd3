"""Every Dag file, as the Dag processor sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_line import ON_AIRFLOW_2

DAGS = Path(__file__).parents[2] / "dags"
FILES = sorted(DAGS.glob("*.py"))
# Only tasks need these, when they run. Each task's process parses its Dag file first, so it must not cost much.
FOR_TASKS_ONLY = {"ccxt", "numpy", "pandas", "psycopg", "requests"}

PARSE = f"""
import json, sys
import airflow.providers.common.compat.sdk as sdk
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow 2
    from airflow.models.dagbag import DagBag
sdk.dag, sdk.Param, sdk.task_group, sdk.BaseOperator, sdk.BaseSensorOperator, sdk.BaseHook
airflows_own = set(sys.modules)
bag = DagBag(sys.argv[1])
print(json.dumps({{
    "errors": bag.import_errors,
    "dags": sorted(bag.dags),
    "too_much": sorted({FOR_TASKS_ONLY} & set(sys.modules) - airflows_own),
}}))
"""


@pytest.fixture(scope="module")
def parsed(airflow_home):
    """What the parsing of the whole folder, in a process of its own, came to."""
    command = [sys.executable, "-c", PARSE, str(DAGS)]
    done = subprocess.run(command, cwd=airflow_home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def dags(airflow_home):
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag

    return DagBag(DAGS).dags


def test_every_file_parses_and_is_named_for_its_dag(parsed):
    assert parsed["errors"] == {}
    left_out = {"candles_review"} if ON_AIRFLOW_2 else set()  # which has no approvals
    assert parsed["dags"] == [file.stem for file in FILES if file.stem not in left_out]


def test_parsing_loads_nothing_that_only_tasks_need(parsed):
    assert parsed["too_much"] == []


def test_what_is_mapped_or_templated_is_filled_in_before_a_task_runs(dags):
    try:
        from airflow.sdk.definitions._internal.expandinput import MappedArgument
    except ImportError:  # Airflow 2
        from airflow.models.expandinput import MappedArgument

    left_out = [
        f"{task.task_id}.{name}"
        for dag in dags.values()
        for task in dag.tasks
        for name, value in vars(task).items()
        if (isinstance(value, MappedArgument) or "{{" in str(value))
        and name not in (*task.template_fields, "map_index_template", "task_group")
        and not name.startswith("_")
    ]
    assert left_out == []


def test_every_task_has_the_retries_and_the_policy_of_all(dags):
    from backfill.dag_parts.defaults import TASK_ARGS

    for dag in dags.values():
        for task in dag.tasks:
            policy = getattr(task, "retry_policy", None)  # Airflow 2 has none
            assert (task.retries, policy) == (TASK_ARGS["retries"], TASK_ARGS.get("retry_policy")), task


def test_every_task_says_what_it_does(dags):
    undocumented = [f"{dag_id}.{task.task_id}" for dag_id, dag in dags.items() for task in dag.tasks if not task.doc_md]
    assert undocumented == []

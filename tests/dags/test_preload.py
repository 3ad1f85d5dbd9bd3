"""Heavy imports happen once, in the process that tasks are forked from, and in no other."""

from __future__ import annotations

import gc
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("command", "executor", "is_parent"),
    [
        ("airflow scheduler", "LocalExecutor", True),
        ("airflow scheduler --skip-serve-logs", "LocalExecutor,CeleryExecutor", True),
        ("airflow celery worker", "CeleryExecutor", True),
        ("airflow scheduler", "CeleryExecutor", False),
        ("airflow celery flower", "CeleryExecutor", False),
        ("airflow api-server", "LocalExecutor", False),
        ("airflow dag-processor", "LocalExecutor", False),
        ("airflow", "LocalExecutor", False),
    ],
)
def test_only_the_parent_of_task_processes_imports_for_them(command, executor, is_parent, airflow_home, monkeypatch):
    from backfill.dag_parts.preload import preload

    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    assert preload(command.split(), ["this", "no_such_module_anywhere"]) == (["this"] if is_parent else [])


def test_a_task_never_collects_garbage_among_what_it_inherits(airflow_home):
    from backfill.dag_parts.preload import preload

    gc.unfreeze()
    preload(["airflow", "celery", "flower"], ["this"])
    in_no_parent = gc.get_freeze_count()
    preload(["airflow", "celery", "worker"], ["this"])
    in_a_parent = gc.get_freeze_count()
    gc.unfreeze()

    assert in_no_parent == 0
    assert in_a_parent > 10_000


def test_every_module_of_ours_and_of_our_requirements_is_there(airflow_home):
    from backfill.dag_parts.preload import MODULES

    named = [name for name in MODULES if not name.startswith("airflow.")]
    assert [name for name in named if find_spec(name) is None] == []


def test_the_image_has_the_settings_file_of_the_local_stack(airflow_home):
    from backfill.dag_parts.preload import SETTINGS_FILE

    assert (ROOT / "docker" / "airflow_local_settings.py").read_text() == SETTINGS_FILE

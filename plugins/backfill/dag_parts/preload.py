"""Import what tasks need once, in the process that their processes are forked from.

Called by `airflow_local_settings.py`, which every Airflow process reads at its start.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from contextlib import suppress

from backfill.domain.registered_sources import registered_names

# Airflow's own come first: they are most of it, and Airflow 2 lacks some.
MODULES = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.bundles.local",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.triggers.temporal",
    "jinja2.ext",
    "netrc",
    "backfill.dag_parts.defaults",
    "backfill.dag_parts.tasks",
    "backfill.operators.audit",
    "backfill.operators.maintain",
    "backfill.hooks.runtime_hook",
    "backfill.hooks.task_identity",
    "backfill.jobs.fill.fill_universe",
    "backfill.jobs.fill.plan_fill",
    "backfill.jobs.validate.validate_universe",
    "backfill.jobs.status.report_run",
    "backfill.jobs.maintain.audit",
    "backfill.jobs.maintain.prune_candles",
    "backfill.jobs.maintain.prune_run_log",
    "backfill.sources.runtime",
    "pandas",
    "ccxt",
)
SETTINGS_FILE = f'''"""Imports what tasks need once, in the process that they are forked from."""

from {__name__} import preload

preload()
'''


def preload(arguments: Sequence[str] | None = None, modules: Sequence[str] = MODULES) -> list[str]:
    """Import ``modules`` if this process is the parent of task processes; return the names imported.

    That is the scheduler with a LocalExecutor, or a Celery worker; ``arguments`` are its command line.
    """
    command = list(sys.argv if arguments is None else arguments)[1:3]
    if not _forks_tasks(command):
        return []
    imported = []
    for name in modules:
        with suppress(ImportError):  # a task that needs it says so
            importlib.import_module(name)
            imported.append(name)
    _read_universe()
    registered_names()  # reads what every installed package says of itself, which took 0.1 s of each task
    # A full collection in a task would write to, and so copy, all that it inherits: 0.2 s. Celery does not freeze it.
    gc.collect()
    gc.freeze()
    return imported


def _read_universe() -> None:
    """It is parsed again only once it has changed."""
    from backfill.config.settings import load_settings
    from backfill.config.universe_file import load_universe
    from backfill.errors import BackfillError

    with suppress(BackfillError, OSError):  # a task that needs it says so
        settings = load_settings()
        load_universe(settings.universe, settings.profile)


def _forks_tasks(command: Sequence[str]) -> bool:
    if command == ["celery", "worker"]:
        return True
    if command[:1] != ["scheduler"]:
        return False
    from airflow.configuration import conf

    return "LocalExecutor" in conf.get("core", "executor", fallback="")

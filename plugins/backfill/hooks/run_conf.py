"""The conf a Dag run was triggered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backfill.config.parameters import check_names

if TYPE_CHECKING:
    from airflow.sdk import Context


def check_run_conf(context: Context) -> None:
    """Raise :class:`ConfigurationError` for a name in the run's conf that the Dag's form lacks.

    Airflow only checks values of the form.
    """
    dag_run, dag = context.get("dag_run"), context.get("dag")
    if dag_run is not None and dag is not None:
        check_names(dag_run.conf or {}, dag.params)

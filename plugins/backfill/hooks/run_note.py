"""The note of a Dag run: `report`'s sentence.

In Airflow 3 a task cannot write its run's note; the scheduler can, as the run ends, from `report`'s XCom.
"""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl

NOTE = "run_note"
REPORT = "report"
MAX_CHARACTERS = 1000  # of Airflow's column


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """A run has succeeded."""
    write_note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """A run has failed."""
    write_note(dag_run)


def write_note(dag_run: Any) -> None:
    """Copy `report`'s sentence, in the scheduler's transaction, unless a person wrote the note."""
    try:
        from airflow.models.xcom import XComModel
    except ImportError:  # Airflow 2
        return
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None or (dag_run.dag_run_note is not None and dag_run.dag_run_note.user_id is not None):
        return
    found = session.scalars(
        XComModel.get_many(run_id=dag_run.run_id, dag_ids=dag_run.dag_id, task_ids=REPORT, key=NOTE, limit=1)
    ).first()
    if found is not None:
        dag_run.note = str(XComModel.deserialize_value(found))[:MAX_CHARACTERS]

"""The running task's identity, for the run log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backfill.storage.gap_fill_log import RunIdentity

if TYPE_CHECKING:
    from airflow.sdk import Context


def run_identity(context: Context) -> RunIdentity:
    ti = context["ti"]
    return RunIdentity(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
    )

"""Every day: is all that is said of the candles true, and which holes were whole exchanges standing still?

audit; find_outages
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import Param, dag

from backfill.dag_defaults import TASK_ARGS
from backfill.operators.audit import AuditOperator, FindOutagesOperator


@dag(
    dag_id="candles_maintain",
    description="Audits the candles and names the outages of their sources.",
    doc_md=__doc__,
    schedule="15 3 * * *",  # not on the half hour, when fills begin
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=TASK_ARGS,
    tags=["candles"],
    params={
        "repair": Param(
            False, type="boolean", description="Mend what the audit finds, where nothing can be lost by it."
        ),
    },
)
def candles_maintain() -> None:
    AuditOperator(task_id="audit", repair="{{ params.repair }}")
    FindOutagesOperator(task_id="find_outages")


candles_maintain()

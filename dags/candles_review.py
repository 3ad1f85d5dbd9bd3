"""Every day, on Airflow 3.1 and newer: what must a person decide on?

Rows in quarantine and values that differ from another source's become approvals: *Required Actions* in Airflow's
navigation, or the tab of the same name of a run. An answer does what the command line does:

| answer | same as |
|---|---|
| *Store them anyway*, *They are wrong* | `backfill quarantine release`, `discard` |
| *Keep our values*, *Take the other values* | `backfill findings dismiss`, `backfill correct` |
| *Later*, or no answer in 23 hours | nothing; the next run asks again |
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException, Param, dag, task_group

from backfill.dag_parts.defaults import TASK_ARGS
from backfill.domain.review_answers import LATER, OPTIONS
from backfill.operators.review import DecideOperator, ListDecisionsOperator

try:
    from airflow.providers.standard.operators.hitl import HITLOperator
except (ImportError, AirflowOptionalProviderFeatureException):  # Airflow 2 asks no one: there the command line decides
    HITLOperator = None

LABEL = "{{ task.subject | truncate(200) }}"


def ask_about(about: str) -> None:
    """Each open question of a kind becomes an approval, and its answer a decision."""
    listed = ListDecisionsOperator(
        task_id=f"list_{about}",
        doc_md="Asks Postgres what waits for a person; rows of the same kind are one question.",
        about=about,
        most="{{ params.most }}",
    )

    @task_group(group_id=about)
    def one_question(subject: str, body: str, ids: Any) -> None:
        # The tasks of a Dag have two hours; a person has the day.
        asked = HITLOperator(
            task_id="ask",
            doc_md="Waits for an answer, without a worker, for at most 23 hours; then nothing is changed.",
            subject=subject,
            body=body,
            options=OPTIONS[about],
            defaults=LATER,
            execution_timeout=None,
            response_timeout=timedelta(hours=23),
            map_index_template=LABEL,
        )
        DecideOperator(
            task_id="decide",
            doc_md="Does what was answered, by the command line's code; what was decided meanwhile is left alone.",
            about=about,
            ids=ids,
            answer=asked.output,
        )

    one_question.expand_kwargs(listed.output)


@dag(
    dag_id="candles_review",
    description="Asks a person about rows in quarantine and values that differ, and does what was answered.",
    doc_md=__doc__,
    schedule="30 4 * * *",  # candles_maintain has looked by then
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=TASK_ARGS,
    tags=["candles"],
    params={
        "most": Param(
            20,
            type="integer",
            minimum=1,
            maximum=200,
            title="Questions",
            description="So many of each kind at once, the newest first.",
        ),
    },
)
def candles_review() -> None:
    for about in OPTIONS:
        ask_about(about)


if HITLOperator is not None:
    candles_review()

"""Every 30 minutes: find what is missing and fetch exactly that.

detect_gaps -> for each symbol with gaps: fill_from_blofin -> fill_from_fallback -> validate -> report, announce
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import dag

from backfill.dag_parts.defaults import TASK_ARGS
from backfill.dag_parts.tasks import fill_tasks, window_form

# One moment for all tasks of a run.
END = "{{ params.end or (dag_run.run_after | default('', true)) }}"
# 25 of the 30 minutes; the next run does the rest.
UNTIL = "{{ (dag_run.start_date + macros.timedelta(minutes=25)).isoformat() }}"


@dag(
    dag_id="candles_fill_gaps",
    description="Finds the holes in the candle history and closes them.",
    doc_md=__doc__,
    schedule="*/30 * * * *",
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=TASK_ARGS,
    tags=["candles"],
    params=window_form(unset_start="as far back as the universe declares", unset_end="the last closed bar"),
)
def candles_fill_gaps() -> None:
    fill_tasks(start="{{ params.start or '' }}", end=END, until=UNTIL)


candles_fill_gaps()

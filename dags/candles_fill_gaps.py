"""Every 30 minutes: find what is missing and fetch exactly that.

detect_gaps -> for each symbol with gaps: fill_from_blofin -> detect_leftovers -> where something is left:
fill_from_fallback -> for each symbol with gaps: validate -> report, announce. Many symbols with little
work share a task.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import dag

from backfill.dag_parts.defaults import TASK_ARGS
from backfill.dag_parts.forms import window_form
from backfill.dag_parts.tasks import fill_tasks

# One moment for all tasks of a run.
END = "{{ params.end or (dag_run.run_after | default('', true)) }}"
# Of the 30 minutes; the next run does the rest. Other sources begin when the primary ones have ended.
UNTIL = "{{ (dag_run.start_date + macros.timedelta(minutes=20)).isoformat() }}"
OTHERS_UNTIL = "{{ (dag_run.start_date + macros.timedelta(minutes=25)).isoformat() }}"


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
    fill_tasks(start="{{ params.start or '' }}", end=END, until=UNTIL, others_until=OTHERS_UNTIL)


candles_fill_gaps()

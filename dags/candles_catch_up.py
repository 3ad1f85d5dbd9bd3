"""Catch up a range of dates: each run fills the day that is its data interval, or the window of its form.

detect_gaps -> fill_from_blofin -> detect_leftovers -> fill_from_fallback -> validate -> report, announce

    airflow backfill create --dag-id candles_catch_up --from-date 2026-01-01 --to-date 2026-01-31     (Airflow 3)
    airflow dags backfill -s 2026-01-01 -e 2026-01-31 candles_catch_up                                (Airflow 2.11)

make a run for each day, some at once; with `--run-backwards` the newest first. (On Airflow 3 a backfill has a limit
of its own, `--max-active-runs`; of the runs that are active at once the older ones' tasks go first.) Any number of
runs may work beside each other and beside `candles_fill_gaps`: each series is worked on by one at a time, and nothing
is asked for twice.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import Param, dag

from backfill.dag_parts.defaults import TASK_ARGS
from backfill.dag_parts.forms import HOW, sources_field, window_form
from backfill.dag_parts.tasks import fill_tasks

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # Airflow 2: `airflow dags backfill` may lose mapped tasks (apache/airflow#34012)
    from airflow.timetables.interval import CronDataIntervalTimetable

    MAPPED = False
else:
    MAPPED = True

# The form's window if set, else the run's interval, else (Airflow 3, by API or command line) the last full day.
FORM_OR_DAY = "{{% if params.start or params.end %}}{form}{{% else %}}{{{{ {interval} or {day} }}}}{{% endif %}}"
MIDNIGHT = "dag_run.run_after.replace(hour=0, minute=0, second=0, microsecond=0)"
START = FORM_OR_DAY.format(
    form="{{ params.start or '' }}",
    interval="dag_run.data_interval_start",
    day=f"({MIDNIGHT} - macros.timedelta(days=1))",
)
# Airflow 3 waits for a day's end; Airflow 2's backfill runs today up to now.
MOMENT = "dag_run.run_after | default(dag_run.start_date)"
END = FORM_OR_DAY.format(
    form="{{ params.end or (dag_run.run_after | default('', true)) }}",
    interval=f"(dag_run.data_interval_end and [dag_run.data_interval_end, {MOMENT}] | min)",
    day=MIDNIGHT,
)
SOURCES_ASKED = "{{ (params.sources or []) | join(',') }}"


@dag(
    dag_id="candles_catch_up",
    description="Finds and closes the holes of a day, or of a range of dates, a run for each day.",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    # Before any exchange had candles.
    start_date=datetime(2010, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=4,
    default_args=TASK_ARGS,
    tags=["candles"],
    params={
        **window_form(
            unset_start="as far back as the universe declares, or, with no end either, the run's day",
            unset_end="the last closed bar, or, with no start either, the end of the run's day",
        ),
        "sources": sources_field(),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            section=HOW,
            description="Only print the plan and its requests, in the log of detect_gaps.",
        ),
    },
)
def candles_catch_up() -> None:
    fill_tasks(START, END, sources=SOURCES_ASKED, plan_only="{{ params.dry_run }}", mapped=MAPPED)


candles_catch_up()

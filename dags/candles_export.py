"""Every day: which days are whole and not handed on yet? They become files, each registered once.

Consumers claim them with `backfill segments claim` or `backfill.jobs.files.claims`; docs/files.md says how.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import Param, dag

from backfill.dag_parts.defaults import TASK_ARGS
from backfill.dag_parts.forms import SYMBOLS, TIMEFRAMES_ASKED, WHEN, moment_field, series_fields
from backfill.operators.export_segments import ExportSegmentsOperator

FILES = "Files"


@dag(
    dag_id="candles_export",
    description="Writes closed, whole days of candles to files and registers each once.",
    doc_md=__doc__,
    schedule="45 3 * * *",  # after candles_maintain has begun to judge the day before
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=TASK_ARGS,
    tags=["candles"],
    params={
        **series_fields(),
        "start": moment_field("Start", "Only days from here on."),
        "end": moment_field("End", "Only days that end by here."),
        "doubtful": Param(
            False, type="boolean", title="Doubtful days", section=WHEN, description="Also days that are in doubt."
        ),
        "folder": Param(
            None,
            type=["null", "string"],
            title="Folder",
            section=FILES,
            description="A folder, or a URL such as s3://aws_default@bucket/candles. Empty: BACKFILL_EXPORT_FOLDER; "
            "without that the task is skipped.",
        ),
        "format": Param(
            "csv",
            type="string",
            enum=["csv", "parquet"],
            values_display={"csv": "CSV", "parquet": "Parquet"},
            title="Format",
            section=FILES,
            description="Parquet needs pyarrow.",
        ),
        "period": Param(
            None,
            type=["null", "string"],
            enum=[None, "day", "month"],
            values_display={"None": "as it fits", "day": "a day", "month": "a month"},
            title="Span of a file",
            section=FILES,
            description="Empty: a file a day, or a month where a day has fewer than 24 bars.",
        ),
    },
)
def candles_export() -> None:
    ExportSegmentsOperator(
        task_id="export_segments",
        doc_md="Writes closed, whole days to files and registers each once; logs each day that is left out, and why. "
        "Skipped: no folder is named.",
        folder="{{ params.folder or '' }}",
        suffix="{{ params.format }}",
        period="{{ params.period or '' }}",
        doubtful="{{ params.doubtful }}",
        symbols=SYMBOLS,
        timeframes=TIMEFRAMES_ASKED,
        start="{{ params.start or '' }}",
        end="{{ params.end or '' }}",
    )


candles_export()

"""Every 30 minutes: find what is missing and fetch exactly that.

detect_gaps -> for each symbol with gaps: fill_from_blofin -> fill_from_fallback -> report
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import Param, dag, task_group

from backfill.dag_defaults import TASK_ARGS
from backfill.domain.timeframes import TIMEFRAMES
from backfill.operators.blofin_candles import BlofinCandlesOperator
from backfill.operators.ccxt_fallback import CcxtFallbackOperator
from backfill.operators.report import ReportOperator
from backfill.sensors.gap_detect import GapDetectSensor

# As text, since a template gives text: a parameter that is not given is an empty one.
WINDOW = {
    "timeframes": "{{ (params.timeframes or []) | join(',') }}",
    "start": "{{ params.start or '' }}",
    # A run's own moment, so that all its tasks mean the same bars: one that closes in mid-run is the next run's.
    "end": "{{ params.end or (dag_run.run_after | default('', true)) }}",
}
RECHECK = "{{ params.recheck }}"


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
    params={
        "symbols": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "pattern": "^[A-Z0-9]+-[A-Z0-9]+$"},
            description="Only these instruments, such as BTC-USDT; none: the whole universe.",
        ),
        "timeframes": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": list(TIMEFRAMES)},
            examples=list(TIMEFRAMES),
            description="Only these timeframes; none: all that the universe keeps.",
        ),
        "start": Param(
            None,
            type=["null", "string"],
            format="date-time",
            description="Start of the window; none: as far back as the universe declares.",
        ),
        "end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            description="End of the window, exclusive; none: the last closed bar.",
        ),
        "recheck": Param(
            False, type="boolean", description="Ask again for bars that the exchange has said it does not have."
        ),
    },
)
def candles_fill_gaps() -> None:
    detect_gaps = GapDetectSensor(task_id="detect_gaps", symbols="{{ (params.symbols or []) | join(',') }}", **WINDOW)

    @task_group(prefix_group_id=False)
    def one_symbol(symbol: str) -> None:
        named = {"symbol": symbol, "map_index_template": "{{ task.symbol }}", "weight_rule": "upstream"}
        (
            BlofinCandlesOperator(task_id="fill_from_blofin", recheck=RECHECK, **named, **WINDOW)
            # Whatever became of Blofin: what is left is left for the others.
            >> CcxtFallbackOperator(
                task_id="fill_from_fallback", trigger_rule="all_done", recheck=RECHECK, **named, **WINDOW
            )
        )

    one_symbol.expand(symbol=detect_gaps.output) >> ReportOperator(task_id="report")


candles_fill_gaps()

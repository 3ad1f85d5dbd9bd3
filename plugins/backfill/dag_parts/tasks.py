"""Trigger form and tasks of the Dags that fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, Param, task_group

from backfill.domain.timeframes import TIMEFRAMES
from backfill.operators.announce import AnnounceOperator
from backfill.operators.blofin_candles import BlofinCandlesOperator
from backfill.operators.ccxt_fallback import CcxtFallbackOperator
from backfill.operators.report import ReportOperator
from backfill.operators.validate import ValidateOperator
from backfill.sensors.gap_detect import GapDetectSensor

if TYPE_CHECKING:
    from airflow.sdk import Context

# Templates render to text; a missing parameter is empty.
SYMBOLS = "{{ (params.symbols or []) | join(',') }}"
TIMEFRAMES_ASKED = "{{ (params.timeframes or []) | join(',') }}"
RECHECK = "{{ params.recheck }}"
ALL_WITH_GAPS = "{{ (ti.xcom_pull(task_ids='detect_gaps') or []) | join(',') }}"


def window_form(unset_start: str, unset_end: str) -> dict[str, Param]:
    """Fields of a trigger form; arguments describe empty start and end."""
    return {
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
            description=f"Start of the window; none: {unset_start}.",
        ),
        "end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            description=f"End of the window, exclusive; none: {unset_end}.",
        ),
        "recheck": Param(
            False, type="boolean", description="Ask again for bars that the exchange has said it does not have."
        ),
    }


def fill_tasks(
    start: str, end: str, *, sources: str = "", plan_only: str = "False", until: str = "", mapped: bool = True
) -> None:
    """detect_gaps -> for each symbol with gaps: fill_from_blofin -> fill_from_fallback -> validate; report; announce.

    Parameters are templates. ``start`` and ``end`` must render alike in all tasks of a run; empty: as the universe
    says. ``sources``: comma list; empty: all. ``plan_only``: "True" only logs the plan. ``until``: when fills must end.
    Without ``mapped``, one instance of each task works on all symbols.
    """
    asked: dict[str, Any] = {
        "timeframes": TIMEFRAMES_ASKED, "start": start, "end": end, "sources": sources, "recheck": RECHECK
    }  # fmt: skip
    checked: dict[str, Any] = {name: template for name, template in asked.items() if name != "recheck"}
    how: dict[str, Any] = (
        {"map_index_template": "{{ task.symbol }}"} if mapped else {"pre_execute": _skip_without_symbols}
    )
    detect_gaps = GapDetectSensor(task_id="detect_gaps", symbols=SYMBOLS, plan_only=plan_only, **asked)

    @task_group(prefix_group_id=False)
    def one_symbol(symbol: str) -> None:
        """The tasks of one symbol."""
        named: dict[str, Any] = {"symbol": symbol, "weight_rule": "upstream", **how}
        (
            BlofinCandlesOperator(task_id="fill_from_blofin", until=until, **named, **asked)
            # It runs even if the first task failed.
            >> CcxtFallbackOperator(
                task_id="fill_from_fallback", trigger_rule="all_done", until=until, **named, **asked
            )
            >> ValidateOperator(task_id="validate", trigger_rule="all_done", **named, **checked)
        )

    last = [ReportOperator(task_id="report"), AnnounceOperator(task_id="announce")]
    if mapped:
        one_symbol.expand(symbol=detect_gaps.output) >> last
    else:
        detect_gaps >> one_symbol(ALL_WITH_GAPS) >> last


def _skip_without_symbols(context: Context) -> None:
    """To operators an empty list of symbols means all."""
    task: Any = context["task"]
    if not task.symbol:
        raise AirflowSkipException("no symbol has gaps")

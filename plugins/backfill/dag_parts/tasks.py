"""Tasks of the Dags that fill."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, chain

from backfill.dag_parts.forms import SYMBOLS, TIMEFRAMES_ASKED
from backfill.operators.announce import AnnounceOperator
from backfill.operators.blofin_candles import BlofinCandlesOperator
from backfill.operators.ccxt_fallback import CcxtFallbackOperator
from backfill.operators.leftovers import LeftoversOperator
from backfill.operators.report import ReportOperator
from backfill.operators.validate import ValidateOperator
from backfill.sensors.gap_detect import GapDetectSensor

if TYPE_CHECKING:
    from airflow.sdk import Context

# Templates render to text; a missing parameter is empty.
RECHECK = "{{ params.recheck }}"
ALL_WITH_GAPS = "{{ (ti.xcom_pull(task_ids='detect_gaps') or []) | join(',') }}"
ALL_LEFT = "{{ (ti.xcom_pull(task_ids='detect_leftovers') or []) | join(',') }}"
# Airflow shows 250 characters.
LABEL = "{{ task.symbol | truncate(200) }}"

# Shown beside each task.
DOCS = {
    "detect_gaps": "Which symbols lack candles that may still be had? It first writes the universe's wishes.\n\n"
    "Red: the universe file, a setting or the run's conf must be mended, as its last line says.",
    "fill_from_blofin": "Asks Blofin for exactly what is missing, newest first, and stores each page as it comes.\n\n"
    "May be cleared at any time: what is held is not asked for again. Skipped: the primary source is another.",
    "detect_leftovers": "Which symbols still lack bars that other sources may have? It only asks Postgres.",
    "fill_from_fallback": "Asks the other sources, in the universe's order, each only for what is still left.\n\n"
    "A source that fails does not fail it: `report` judges the run by what is missing.",
    "validate": "Does what is held add up to the source's own longer bars, and do others agree?\n\n"
    "Writes `findings`; fails only where the universe says `on_failure: fail`.",
    "report": "Accounts for every series that had gaps: what was stored, from whom, and what is still missing.\n\n"
    "Red: it names each series whose last attempt failed, and why.",
    "announce": "One event on `candles://<timeframe>` for each timeframe that has changed; other Dags follow it.",
}


def fill_tasks(
    start: str,
    end: str,
    *,
    sources: str = "",
    plan_only: str = "False",
    until: str = "",
    others_until: str = "",
    mapped: bool = True,
) -> None:
    """detect_gaps -> fill_from_blofin -> detect_leftovers -> fill_from_fallback -> validate -> report, announce.

    Fills and validations are mapped over symbols, or batches of them. Parameters are templates. ``start`` and ``end``
    must render alike in all tasks of a run; empty: as the universe says. ``sources``: comma list; empty: all.
    ``plan_only``: "True" only logs the plan. ``until``, ``others_until``: when the fills from primary sources and from
    others must end. Without ``mapped``, one instance of each task works on all symbols.
    """
    asked: dict[str, Any] = {
        "timeframes": TIMEFRAMES_ASKED, "start": start, "end": end, "sources": sources, "recheck": RECHECK
    }  # fmt: skip
    checked: dict[str, Any] = {name: template for name, template in asked.items() if name != "recheck"}
    # They run even if an earlier task failed.
    later: dict[str, Any] = {"trigger_rule": "all_done"}
    detect_gaps = GapDetectSensor(**_named("detect_gaps"), symbols=SYMBOLS, plan_only=plan_only, **asked)
    leftovers = LeftoversOperator(**_named("detect_leftovers"), symbol=ALL_WITH_GAPS, **later, **asked)

    def over(found: BaseOperator, all_found: str, kind: type[BaseOperator], task_id: str, **arguments: Any) -> Any:
        """A task over what ``found`` has returned."""
        arguments |= {**_named(task_id), "weight_rule": "upstream"}
        if mapped:
            return kind.partial(map_index_template=LABEL, **arguments).expand(symbol=found.output)
        return kind(symbol=all_found, pre_execute=_skip_without_symbols, **arguments)

    with_gaps = partial(over, detect_gaps, ALL_WITH_GAPS)
    chain(
        detect_gaps,
        with_gaps(BlofinCandlesOperator, "fill_from_blofin", until=until, **asked),
        leftovers,
        over(leftovers, ALL_LEFT, CcxtFallbackOperator, "fill_from_fallback", until=others_until, **later, **asked),
        with_gaps(ValidateOperator, "validate", **later, **checked),
        [ReportOperator(**_named("report")), AnnounceOperator(**_named("announce"))],
    )


def _named(task_id: str) -> dict[str, Any]:
    return {"task_id": task_id, "doc_md": DOCS[task_id]}


def _skip_without_symbols(context: Context) -> None:
    """To operators an empty list of symbols means all."""
    task: Any = context["task"]
    if not task.symbol:
        raise AirflowSkipException("no symbol has gaps")

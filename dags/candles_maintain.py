"""Every day: what is listed now, what is past its retention, and is all that is said of the candles true?

refresh_instruments -> keep_funding; prune -> audit -> validate -> find_outages
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import Param, dag

from backfill.dag_parts.defaults import TASK_ARGS
from backfill.operators.audit import AuditOperator, FindOutagesOperator
from backfill.operators.maintain import FundingOperator, PruneOperator, RefreshInstrumentsOperator
from backfill.operators.validate import ValidateOperator


@dag(
    dag_id="candles_maintain",
    description="Follows the exchange's list, removes what is past its retention, audits the candles, names outages.",
    doc_md=__doc__,
    schedule="15 3 * * *",  # not on the half hour, when fills begin
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=TASK_ARGS,
    tags=["candles"],
    params={
        "repair": Param(
            False,
            type="boolean",
            title="Repair",
            description="Mend what the audit finds, where nothing can be lost by it.",
        ),
    },
)
def candles_maintain() -> None:
    listed = RefreshInstrumentsOperator(
        task_id="refresh_instruments",
        doc_md="Asks each primary source for its list, logs what changed, and declares the universe. Red: a source did "
        "not answer; the old list stays.",
    )
    listed >> FundingOperator(
        task_id="keep_funding",
        trigger_rule="all_done",
        doc_md="Keeps the funding rates whole of the instruments whose universe says `funding`.",
    )
    # all_done: each task checks what is there now. `thorough` asks for the primary source's coarser bars even where
    # nothing is missing. Market-wide findings become one outage.
    (
        PruneOperator(
            task_id="prune",
            doc_md="Removes bars older than their `retention`, and rows of the run log older than `log_retention`.",
        )
        >> AuditOperator(
            task_id="audit",
            repair="{{ params.repair }}",
            trigger_rule="all_done",
            doc_md="Recomputes the ledger, tables and rows from the candles. Differences are warnings and findings; "
            "`repair` mends what loses nothing.",
        )
        >> ValidateOperator(
            task_id="validate",
            thorough=True,
            trigger_rule="all_done",
            doc_md="Validates every series, asking for the primary source's longer bars even where nothing is missing.",
        )
        >> FindOutagesOperator(
            task_id="find_outages",
            trigger_rule="all_done",
            doc_md="Bars that most series of a source lack become one outage, and settle the findings it explains.",
        )
    )


candles_maintain()

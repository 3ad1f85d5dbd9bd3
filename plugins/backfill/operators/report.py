"""The end of a run: what became of every series, and whether that is a success."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, BaseOperator

from backfill.hooks.candle_store_hook import CANDLES_CONN_ID, CandleStoreHook
from backfill.window_params import as_list

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReportOperator(BaseOperator):
    """Reads the run log of this Dag run, tells it, and fails if a symbol with gaps was not worked through.

    It runs whatever became of the tasks before (``all_done``), and judges by the log, not by their states: a symbol
    that the sensor named and that has no finished attempt has failed, and so has a run whose sensor gave no answer.

    :param detect_task_id: the sensor whose list is to be accounted for.
    """

    def __init__(
        self, *, detect_task_id: str = "detect_gaps", candles_conn_id: str = CANDLES_CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(**{"trigger_rule": "all_done", **kwargs})
        self.detect_task_id = detect_task_id
        self.candles_conn_id = candles_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        from backfill.jobs.report_run import report_run

        ti = context["ti"]
        found: Sequence[str] | None = ti.xcom_pull(task_ids=self.detect_task_id)
        if found is None:
            raise AirflowFailException(f"{self.detect_task_id} gave no answer: see its log")
        if not found:
            raise AirflowSkipException("no gaps: there was nothing to do")
        with CandleStoreHook(self.candles_conn_id).get_conn() as store:
            summary = report_run(store, ti.dag_id, ti.run_id, as_list(",".join(found)) or [])
        for line in summary.lines:
            self.log.info(line)
        if summary.failures:
            raise AirflowFailException("; ".join(summary.failures))
        return summary.totals

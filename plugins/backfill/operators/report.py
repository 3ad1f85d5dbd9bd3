"""Report a run's outcome and decide whether it succeeded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, BaseOperator

from backfill.config.parameters import as_list
from backfill.config.settings import load_settings
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID, CandleStoreHook
from backfill.hooks.refusal import KEY, RunRefused
from backfill.hooks.run_note import NOTE

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReportOperator(BaseOperator):
    """Logs what this Dag run did, and fails if a symbol with gaps was not processed.

    It judges by the run log, not task states: a symbol from the sensor without a finished attempt fails it, as does a
    sensor without answer. It sends Airflow's metrics (docs/alerts.md), and alerts when all external sources have failed
    for BACKFILL_ALERT_AFTER_HOURS.

    :param detect_task_id: the sensor whose list is checked.
    :param on_outage: Airflow notifiers (or callables that take the context) for the alert; its text is ``outage`` in
        the context, as in ``SmtpNotifier(html_content="{{ outage }}", ...)``.
    """

    def __init__(
        self,
        *,
        detect_task_id: str = "detect_gaps",
        on_outage: Sequence[Callable[[Any], object]] = (),
        candles_conn_id: str = CANDLES_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"trigger_rule": "all_done", **kwargs})
        self.detect_task_id = detect_task_id
        self.on_outage = on_outage
        self.candles_conn_id = candles_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Report, and fail if the run failed."""
        from backfill.jobs.status.report_run import report_run

        ti = context["ti"]
        self._measure(ti.dag_id, ti.run_id)
        found: Sequence[str] | None = ti.xcom_pull(task_ids=self.detect_task_id)
        if found is None:
            if refused := ti.xcom_pull(task_ids=self.detect_task_id, key=KEY):
                ti.xcom_push(key=NOTE, value=refused)
                raise RunRefused(refused)
            raise AirflowFailException(f"{self.detect_task_id} gave no answer: see its log")
        if not found:
            ti.xcom_push(key=NOTE, value="nothing was missing")
            raise AirflowSkipException("no gaps: there was nothing to do")
        symbols = as_list(",".join(found)) or []
        with CandleStoreHook(self.candles_conn_id).get_conn() as store:
            summary = report_run(store, ti.dag_id, ti.run_id, symbols, load_settings().alert_after_hours)
        ti.xcom_push(key=NOTE, value=summary.note)
        for line in summary.lines:
            self.log.info(line)
        for line in summary.leaving:
            self.log.warning(line)
        if summary.outage:
            self.log.error(summary.outage)
            for notify in self.on_outage:
                notify({**context, "outage": summary.outage})
        if summary.failures:
            raise AirflowFailException("; ".join(summary.failures))
        return summary.totals

    def _measure(self, dag_id: str, run_id: str) -> None:
        """Send the metrics. A run never fails by it."""
        from backfill.hooks.metrics import send_metrics
        from backfill.jobs.status.alerts import EXCUSED
        from backfill.storage.alerts import metrics_of_dag_run

        try:
            settle_ms = round(load_settings().settle_s * 1000)
            with CandleStoreHook(self.candles_conn_id).get_conn() as store:
                send_metrics(metrics_of_dag_run(store, dag_id, run_id, store.now() - EXCUSED, settle_ms))
        except Exception:  # whatever a metrics backend may raise
            self.log.warning("the metrics could not be sent", exc_info=True)

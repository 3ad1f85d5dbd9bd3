"""Fill what one symbol still lacks from the sources that the run has not asked yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from backfill.config.parameters import as_list, as_moment
from backfill.operators.window_operator import FillOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class CcxtFallbackOperator(FillOperator):
    """Asks the sources that this run has not asked yet, in the universe's order, each for what is left.

    Left is window - held - absent(source). A source that is broken is skipped, one whose listing is not proved gives
    nothing. What others give is stored under their names until the primary's own candle replaces it. With nothing left
    the task skips itself. It may be cleared, retried or killed at any moment. A source's failure fails no task: the run
    log names it, and `report` judges the run by what is missing.

    Parameters are those of :class:`FillOperator`; ``sources`` are asked in their order.
    """

    ui_color = "#d9d2f0"

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Ask, and return a report for each series."""
        from backfill.hooks.runtime_hook import open_runtime  # pandas and ccxt load here, not at parse
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.fill.fill_universe import fill_series, left_for_others

        sources, recheck = as_list(self.sources), str(self.recheck) == "True"
        with open_runtime(self.candles_conn_id, self.blofin_conn_id) as runtime:
            who = run_identity(context)
            left = left_for_others(runtime.store, self.windows(runtime), who, sources, recheck=recheck)
            if not left.windows:
                raise AirflowSkipException("nothing is left for other sources")
            reports = fill_series(
                runtime,
                left.windows,
                who,
                only=sources,
                leave_out=left.asked,
                recheck=recheck,
                until=as_moment("until", self.until),
            )
            return [report.as_dict() for report in reports]

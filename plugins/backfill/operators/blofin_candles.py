"""Fill what one symbol lacks from Blofin, all its timeframes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from backfill.config.parameters import as_list, as_moment
from backfill.operators.window_operator import FillOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class BlofinCandlesOperator(FillOperator):
    """Asks Blofin for window - held - absent and stores it, page by page.

    It takes its facts from Postgres when it runs, so it may be cleared, retried or killed at any moment: what is stored
    stays, and the next attempt does the rest. Returns one report a series (``gap_fill_runs`` has the same as rows).
    An exchange's error is raised after everything that came before it was stored, unless the universe names other
    sources for the series: then it is their turn.

    Parameters are those of :class:`FillOperator`. Without blofin among ``sources`` the task skips itself. What Blofin
    can answer ``until`` then is shared out fairly between all symbols, newest bars first.
    """

    ui_color = "#ffe6cc"

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from backfill.hooks.runtime_hook import open_runtime  # pandas loads here, not at parse
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.fill.fill_universe import fill_series
        from backfill.storage.gap_fill_log import GapFillLog

        if "blofin" not in (as_list(self.sources) or ["blofin"]):
            raise AirflowSkipException("blofin is not among the sources to ask")
        with open_runtime(self.candles_conn_id, self.blofin_conn_id) as runtime:
            windows = self.windows(runtime)
            blofin = runtime.store.source_id("blofin")
            windows = [window for window in windows if blofin in window.source_ids]
            GapFillLog.of(runtime.store).abandon_dead_runs()  # an earlier try of this task may be one
            reports = list(
                fill_series(
                    runtime,
                    windows,
                    run_identity(context),
                    only=["blofin"],
                    recheck=str(self.recheck) == "True",
                    until=as_moment("until", self.until),
                )
            )
        # Where other sources may help, they are asked next; where not, Airflow tries again.
        alone = {(window.symbol, window.timeframe) for window in windows if len(window.source_ids) == 1}
        if cause := next((r.cause for r in reports if r.cause and (r.symbol, r.timeframe) in alone), None):
            raise cause
        return [report.as_dict() for report in reports]

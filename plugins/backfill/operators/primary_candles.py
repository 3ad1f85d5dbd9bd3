"""Fill what one symbol lacks from its primary source, all its timeframes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from backfill.config.parameters import as_list, as_moment
from backfill.operators.window_operator import FillOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class PrimaryCandlesOperator(FillOperator):
    """Asks the primary source of each series for window - held - absent and stores it, page by page.

    It reads its facts from Postgres, so it may be cleared, retried or killed at any moment: what is stored stays, and
    the next attempt does the rest. Returns one report a series, the same as the rows of ``gap_fill_runs``. An
    exchange's error is raised after everything before it was stored, unless the series has other sources: then they are
    asked next.

    Parameters are those of :class:`FillOperator`. A series whose primary is not among ``sources`` is left out; with
    none left the task skips itself. What a source can answer ``until`` then is shared fairly among all symbols, newest
    bars first.
    """

    ui_color = "#ffe6cc"
    # The only primary that is asked; None: any.
    primary: str | None = None

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Ask, and return a report for each series."""
        from backfill.hooks.runtime_hook import open_runtime  # pandas loads here, not at parse
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.fill.fill_universe import fill_series, with_primary_among

        wanted, sources = [self.primary] if self.primary else None, as_list(self.sources)
        if wanted and sources and self.primary not in sources:
            raise AirflowSkipException(f"{self.primary} is not among the sources to ask")
        with open_runtime(self.candles_conn_id, self.blofin_conn_id) as runtime:
            windows = with_primary_among(runtime.store, self.windows(runtime), wanted or sources)
            if not windows:
                raise AirflowSkipException(f"no series of {self.symbol} has {self.primary or sources} as its primary")
            runtime.store.run_log.abandon_dead_runs()  # an earlier try of this task may be one
            reports = list(
                fill_series(
                    runtime,
                    windows,
                    run_identity(context),
                    primary_only=True,
                    recheck=str(self.recheck) == "True",
                    until=as_moment("until", self.until),
                )
            )
        # Other sources are asked next; a series that has none is retried by Airflow.
        alone = {(window.symbol, window.timeframe) for window in windows if len(window.source_ids) == 1}
        if cause := next((r.cause for r in reports if r.cause and (r.symbol, r.timeframe) in alone), None):
            raise cause
        return [report.as_dict() for report in reports]

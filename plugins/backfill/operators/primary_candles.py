"""Fill one symbol from its primary source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from backfill.config.parameters import as_list, as_moment
from backfill.operators.window_operator import FillOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from backfill.sources.runtime import Runtime
    from backfill.storage.series import SeriesWindow


class PrimaryCandlesOperator(FillOperator):
    """Asks each series' primary source for window - held - absent and stores it page by page.

    State is in Postgres: it may be cleared, retried or killed at any time, and the next attempt continues. Returns a
    report per series. An exchange's error is raised after all before it is stored, unless the series has other sources,
    which are asked next.

    Parameters are those of :class:`FillOperator`. Series whose primary is not in ``sources`` are left out; with none
    left the task skips itself. Requests ``until`` then are shared fairly among symbols, newest bars first.
    """

    ui_color = "#ffe6cc"
    # The only primary to ask; None: any.
    primary: str | None = None

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Fill, and return a report per series."""
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.fill.fill_universe import fill_series, with_primary_among

        wanted, sources = [self.primary] if self.primary else None, as_list(self.sources)
        if wanted and sources and self.primary not in sources:
            raise AirflowSkipException(f"{self.primary} is not among the sources to ask")
        with self.open_runtime() as runtime:
            given = self.windows(runtime)
            windows = with_primary_among(runtime.store, given, wanted or sources)
            if windows and (others := [window for window in given if window not in windows]):
                self.log.info("left to other tasks, by their primary source: %s", _with_primary(runtime, others))
            if not windows:
                named = " or ".join(wanted or sources or ())
                raise AirflowSkipException(f"the primary source of {self.symbol} is another than {named}")
            runtime.store.run_log.abandon_dead_runs()  # such as an earlier try of this task
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
        runtime.stop.check()
        self.raise_cause_of_lone(windows, reports)
        return [report.as_dict() for report in reports]


def _with_primary(runtime: Runtime, windows: Sequence[SeriesWindow]) -> str:
    """Such as "BTC-USDT 1m (okx)"."""
    return ", ".join(
        f"{window.symbol} {window.timeframe} ({runtime.store.source_names(window.source_ids[:1])[0]})"
        for window in windows
    )

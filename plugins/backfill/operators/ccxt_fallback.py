"""Fill one symbol from sources that the run has not asked yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from backfill.config.parameters import as_list, as_moment
from backfill.operators.blofin_candles import BlofinCandlesOperator
from backfill.operators.window_operator import FillOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class CcxtFallbackOperator(FillOperator):
    """Asks sources that earlier tasks did not, in the universe's order, for window - held - absent(source).

    Broken sources are skipped; unproved listings give nothing. The primary's candles later replace those of others.
    With nothing left the task skips itself. It may be cleared, retried or killed at any time. A source's failure does
    not fail it, unless the series has no other: `report` judges the run by what is missing.

    Parameters are those of :class:`FillOperator` (``sources`` are asked in their order), and

    :param asked_before: primary that an earlier task asks: a name, or `primary` for each series' own. Other series have
        all sources asked, primary first.
    """

    ui_color = "#d9d2f0"

    def __init__(self, *, asked_before: str = BlofinCandlesOperator.primary, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asked_before = asked_before

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Fill, and return a report per series."""
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.fill.fill_universe import fill_series, left_for_others

        sources, recheck = as_list(self.sources), str(self.recheck) == "True"
        with self.open_runtime() as runtime:
            who = run_identity(context)
            left = left_for_others(
                runtime.store, self.windows(runtime), who, self.asked_before, sources, recheck=recheck
            )
            if not left.windows:
                raise AirflowSkipException("nothing is left for other sources")
            reports = list(
                fill_series(
                    runtime,
                    left.windows,
                    who,
                    only=sources,
                    leave_out=left.passed_over,
                    recheck=recheck,
                    until=as_moment("until", self.until),
                )
            )
            runtime.stop.check()
            self.raise_cause_of_lone(left.windows, reports)
            return [report.as_dict() for report in reports]

"""Validate the candles of one symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from backfill.config.parameters import as_list
from backfill.operators.window_operator import WindowOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ValidateOperator(WindowOperator):
    """Checks coverage, the primary's own coarser bars, and another source's candles.

    Suspect bars are fetched again and replaced if they differ. The task writes ``gap_fill_runs`` and ``findings``, then
    warns or fails. Bars without another source are `unverified`, which fails nothing.

    Parameters are those of :class:`WindowOperator` (``sources``: allowed beside the primary), and

    :param objective_pct: share of the window to hold; None: as the universe says.
    :param on_failure: `warn` or `fail`; None: as the universe says.
    :param thorough: request coarser bars, where none are stored, even without gaps.
    """

    ui_color = "#d5e8d4"

    def __init__(
        self,
        *,
        objective_pct: float | None = None,
        on_failure: str | None = None,
        thorough: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if on_failure not in (None, "warn", "fail"):
            raise ValueError(f"on_failure is {on_failure!r}; it must be 'warn' or 'fail'")
        self.objective_pct = objective_pct
        self.on_failure = on_failure
        self.thorough = thorough

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Validate, and return a report per series."""
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.validate.validate_universe import declared_validation, validate_universe

        with self.open_runtime() as runtime:
            validation = declared_validation(runtime)
            if not validation.enabled:
                self.log.info("the universe's `validation: {enabled: false}` switches this off")
                return []
            windows = self.windows(runtime)
            if self.objective_pct is not None:
                windows = [window._replace(objective_pct=self.objective_pct) for window in windows]
            if self.on_failure is not None:
                validation = validation.model_copy(update={"on_failure": self.on_failure})
            reports = list(
                validate_universe(
                    runtime,
                    windows,
                    run_identity(context),
                    validation,
                    at=runtime.store.now(),
                    only=as_list(self.sources),
                    thorough=self.thorough,
                )
            )
        runtime.stop.check()
        bad = [report for report in reports if report.problems]
        for report in bad:
            self.log.warning("%s", report)
        if bad and validation.on_failure == "fail":
            raise AirflowFailException("\n".join(map(str, bad)))
        return [report.as_dict() for report in reports]

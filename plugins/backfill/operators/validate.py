"""Say of one symbol how far its candles can be trusted, all its timeframes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from backfill.hooks.blofin_hook import BlofinHook
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID
from backfill.window_params import as_list, as_moment

if TYPE_CHECKING:
    from airflow.sdk import Context


class ValidateOperator(BaseOperator):
    """Checks what is stored: coverage against the objective, the home's own coarser bars, another source's candles.

    What looks wrong is asked of its home again and replaced where that answers differently. The row in
    ``gap_fill_runs`` and the ``findings`` are written first; only then does the task warn or fail, as the universe
    file says. Where no other source answers the bars are `unverified`, and nothing is failed for that.

    :param symbol: an instrument of the universe, or several joined by commas (the sensor's batches); None: all.
    :param timeframes: only these (list or comma list); None: all that the universe keeps of the symbol.
    :param start: replaces the declared start of the window (ISO 8601 or epoch ms); None: as declared.
    :param end: ends the window earlier than the last closed bar; None: the last closed bar.
    :param sources: who may be asked beside the home; None: as the universe lists them.
    :param objective_pct: how much of a window must be held; None: as the universe says of the series.
    :param on_failure: `warn` or `fail`; None: as the universe says.
    :param thorough: ask the home for coarser bars, where none are kept, also when nothing is missing.
    """

    template_fields: Sequence[str] = ("symbol", "timeframes", "start", "end", "sources")
    ui_color = "#d5e8d4"

    def __init__(
        self,
        *,
        symbol: str | None = None,
        timeframes: Sequence[str] | str | None = None,
        start: str | None = None,
        end: str | None = None,
        sources: Sequence[str] | str | None = None,
        objective_pct: float | None = None,
        on_failure: str | None = None,
        thorough: bool = False,
        candles_conn_id: str = CANDLES_CONN_ID,
        blofin_conn_id: str = BlofinHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if on_failure not in (None, "warn", "fail"):
            raise ValueError(f"on_failure is {on_failure!r}; it must be 'warn' or 'fail'")
        self.symbol = symbol
        self.timeframes = timeframes
        self.start = start
        self.end = end
        self.sources = sources
        self.objective_pct = objective_pct
        self.on_failure = on_failure
        self.thorough = thorough
        self.candles_conn_id = candles_conn_id
        self.blofin_conn_id = blofin_conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from backfill.hooks.supplies_hook import open_supplies  # pandas and ccxt load here, not at parse
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.fill_universe import windows_to_fill
        from backfill.jobs.validate_universe import declared_validation, validate_universe

        with open_supplies(self.candles_conn_id, self.blofin_conn_id) as supplies:
            windows = windows_to_fill(
                supplies,
                symbols=as_list(self.symbol),
                timeframes=as_list(self.timeframes),
                start=as_moment("start", self.start),
                end=as_moment("end", self.end),
            )
            if self.objective_pct is not None:
                windows = [window._replace(objective_pct=self.objective_pct) for window in windows]
            validation = declared_validation(supplies)
            if self.on_failure is not None:
                validation = validation.model_copy(update={"on_failure": self.on_failure})
            reports = list(
                validate_universe(
                    supplies,
                    windows,
                    run_identity(context),
                    validation,
                    at=supplies.store.now(),
                    only=as_list(self.sources),
                    thorough=self.thorough,
                )
            )
        bad = [report for report in reports if report.problems]
        for report in bad:
            self.log.warning("%s", report)
        if bad and validation.on_failure == "fail":
            raise AirflowFailException("\n".join(map(str, bad)))
        return [report.as_dict() for report in reports]

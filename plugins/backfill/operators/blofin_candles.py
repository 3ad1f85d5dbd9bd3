"""Fill what one symbol lacks from Blofin, all its timeframes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from backfill.hooks.blofin_hook import BlofinHook
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID
from backfill.window_params import as_list, as_moment

if TYPE_CHECKING:
    from airflow.sdk import Context


class BlofinCandlesOperator(BaseOperator):
    """Asks Blofin for window - held - absent and stores it, page by page.

    It takes its facts from Postgres when it runs, so it may be cleared, retried or killed at any moment: what is stored
    stays, and the next attempt does the rest. Returns one report a series (``gap_fill_runs`` has the same as rows).
    An exchange's error is raised after everything that came before it was stored, unless the universe names other
    sources for the series: then it is their turn.

    :param symbol: an instrument of the universe, or several joined by commas (the sensor's batches).
    :param timeframes: only these (list or comma list); None: all that the universe keeps of the symbol.
    :param start: replaces the declared start of the window (ISO 8601 or epoch ms); None: as declared.
    :param end: ends the window earlier than the last closed bar; None: the last closed bar.
    :param sources: who may be asked (list or comma list): without blofin among them the task skips itself; None: all.
    :param recheck: ask again for bars that Blofin has denied.
    :param until: when the run must end (ISO 8601): what cannot be asked for by then is shared out fairly between all
        symbols, newest bars first, and the rest is left to the next run; None: no end.
    """

    template_fields: Sequence[str] = ("symbol", "timeframes", "start", "end", "sources", "recheck", "until")
    ui_color = "#ffe6cc"

    def __init__(
        self,
        *,
        symbol: str,
        timeframes: Sequence[str] | str | None = None,
        start: str | None = None,
        end: str | None = None,
        sources: Sequence[str] | str | None = None,
        recheck: bool | str = False,
        until: str | None = None,
        candles_conn_id: str = CANDLES_CONN_ID,
        blofin_conn_id: str = BlofinHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.symbol = symbol
        self.timeframes = timeframes
        self.start = start
        self.end = end
        self.sources = sources
        self.recheck = recheck
        self.until = until
        self.candles_conn_id = candles_conn_id
        self.blofin_conn_id = blofin_conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from backfill.hooks.supplies_hook import open_supplies  # pandas loads here, not at parse
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.fill_universe import fill_series, windows_to_fill
        from backfill.storage.gap_fill_log import GapFillLog

        if "blofin" not in (as_list(self.sources) or ["blofin"]):
            raise AirflowSkipException("blofin is not among the sources to ask")
        with open_supplies(self.candles_conn_id, self.blofin_conn_id) as supplies:
            windows = windows_to_fill(
                supplies,
                symbols=as_list(self.symbol),
                timeframes=as_list(self.timeframes),
                start=as_moment("start", self.start),
                end=as_moment("end", self.end),
            )
            blofin = supplies.store.source_id("blofin")
            windows = [window for window in windows if blofin in window.source_ids]
            GapFillLog(supplies.store.connection).abandon_dead_runs()  # an earlier try of this task may be one
            reports = list(
                fill_series(
                    supplies,
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

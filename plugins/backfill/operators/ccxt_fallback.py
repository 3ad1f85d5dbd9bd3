"""Fill what one symbol still lacks from other exchanges, through ccxt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from backfill.hooks.blofin_hook import BlofinHook
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID
from backfill.window_params import as_list, as_moment

if TYPE_CHECKING:
    from airflow.sdk import Context


class CcxtFallbackOperator(BaseOperator):
    """Asks the other sources of the universe, in its order, each for what is left: window - held - absent(source).

    A source that is broken is skipped, one whose listing is not proved gives nothing; what others give is stored and
    names them, until the home's own candle replaces it. With nothing left to ask for the task skips itself. Like the
    Blofin operator it may be cleared, retried or killed at any moment. A source's failure fails no task: the run log
    names it, and `report` judges the run by what is still missing.

    :param symbol: an instrument of the universe, or several joined by commas (the sensor's batches).
    :param timeframes: only these (list or comma list); None: all that the universe keeps of the symbol.
    :param start: replaces the declared start of the window (ISO 8601 or epoch ms); None: as declared.
    :param end: ends the window earlier than the last closed bar; None: the last closed bar.
    :param sources: only these, in this order (list or comma list; blofin is passed over); None: as the universe lists
        them.
    :param recheck: ask again for bars that a source has denied.
    :param until: when the run must end (ISO 8601): what is not asked for by then is left to the next run; None: no end.
    """

    template_fields: Sequence[str] = ("symbol", "timeframes", "start", "end", "sources", "recheck", "until")
    ui_color = "#d9d2f0"

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
        from backfill.hooks.supplies_hook import open_supplies  # pandas and ccxt load here, not at parse
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.fill_universe import fill_series, left_for_others, windows_to_fill

        sources, recheck = as_list(self.sources), str(self.recheck) == "True"
        if sources == ["blofin"]:
            raise AirflowSkipException("only blofin is to be asked")
        with open_supplies(self.candles_conn_id, self.blofin_conn_id) as supplies:
            windows = windows_to_fill(
                supplies,
                symbols=as_list(self.symbol),
                timeframes=as_list(self.timeframes),
                start=as_moment("start", self.start),
                end=as_moment("end", self.end),
            )
            who = run_identity(context)
            # What Blofin denies again stays absent; where it is not asked, a recheck is for the others to make.
            left = (
                windows
                if recheck and sources and "blofin" not in sources
                else left_for_others(supplies.store, windows, who)
            )
            if not left:
                raise AirflowSkipException("nothing is left for other sources")
            reports = fill_series(
                supplies,
                left,
                who,
                only=sources,
                leave_out=["blofin"],
                recheck=recheck,
                until=as_moment("until", self.until),
            )
            return [report.as_dict() for report in reports]

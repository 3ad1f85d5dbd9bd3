"""Parameters shared by operators that work on series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from backfill.config.parameters import as_list, as_moment
from backfill.errors import UnknownSymbol
from backfill.hooks.blofin_hook import BlofinHook
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID
from backfill.operators.page_links import GapsPageLink, SeriesPageLink

if TYPE_CHECKING:
    from backfill.jobs.fill.fill_gaps import FillReport
    from backfill.sources.runtime import Runtime
    from backfill.storage.series import SeriesWindow

T = TypeVar("T")


class WindowOperator(BaseOperator):
    """Works on the series of some symbols in a window.

    :param symbol: one instrument, or several joined by commas (the sensor's batches); None: all.
    :param timeframes: list or comma list; None: all.
    :param start: replaces the declared start (ISO 8601 or epoch ms).
    :param end: ends the window before the last closed bar.
    :param sources: who may be asked (list or comma list); None: as the universe says.
    """

    template_fields: Sequence[str] = ("symbol", "timeframes", "start", "end", "sources")
    operator_extra_links = (SeriesPageLink(), GapsPageLink())

    def __init__(
        self,
        *,
        symbol: str | None = None,
        timeframes: Sequence[str] | str | None = None,
        start: str | None = None,
        end: str | None = None,
        sources: Sequence[str] | str | None = None,
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
        self.candles_conn_id = candles_conn_id
        self.blofin_conn_id = blofin_conn_id

    _runtime: Runtime | None = None

    def open_runtime(self) -> Runtime:
        """Postgres and the sources; the caller closes it."""
        from backfill.hooks.runtime_hook import open_runtime  # pandas and ccxt load here, not at parse

        self._runtime = open_runtime(self.candles_conn_id, self.blofin_conn_id)
        return self._runtime

    def on_kill(self) -> None:
        """End in order: Airflow has sent SIGTERM, and SIGKILL follows."""
        if self._runtime is not None:
            self._runtime.stop.ask("Airflow")

    def windows(self, runtime: Runtime) -> list[SeriesWindow]:
        """Windows to work on; first writes the universe's wishes. Skips the task if its symbols have left."""
        from backfill.jobs.fill.fill_universe import windows_to_fill

        return self._of_the_universe(runtime, windows_to_fill)

    def known_windows(self, runtime: Runtime) -> list[SeriesWindow]:
        """The same windows by the wishes in Postgres; writes nothing."""
        from backfill.jobs.fill.fill_universe import select_wanted

        return runtime.store.windows(self._of_the_universe(runtime, select_wanted))

    def _of_the_universe(self, runtime: Runtime, select: Callable[..., T]) -> T:
        """``select`` by the arguments, without symbols that have left the universe.

        An instance of an old run may be cleared at any time. Skips the task if none is left.
        """
        symbols = as_list(self.symbol)
        while True:
            try:
                return select(
                    runtime,
                    symbols=symbols,
                    timeframes=as_list(self.timeframes),
                    start=as_moment("start", self.start),
                    end=as_moment("end", self.end),
                )
            except UnknownSymbol as error:
                left = error.symbol
                if left not in (symbols or ()) or not runtime.store.wishes.was_kept(left):
                    raise
            sentence = f"{left} has left the universe: its candles stay, and it is not asked for"
            symbols = [one for one in symbols or () if one != left]
            if not symbols:
                raise AirflowSkipException(sentence)
            self.log.warning(sentence)


class FillOperator(WindowOperator):
    """Asks sources for missing bars.

    :param recheck: ask again for bars confirmed absent.
    :param until: when the run must end (ISO 8601); None: no end.
    """

    template_fields: Sequence[str] = (*WindowOperator.template_fields, "recheck", "until")

    def __init__(self, *, symbol: str, recheck: bool | str = False, until: str | None = None, **kwargs: Any) -> None:
        super().__init__(symbol=symbol, **kwargs)
        self.recheck = recheck
        self.until = until

    @staticmethod
    def raise_cause_of_lone(windows: Sequence[SeriesWindow], reports: Sequence[FillReport]) -> None:
        """Raise what failed a series with only one source, so that Airflow tries again."""
        alone = {(window.symbol, window.timeframe) for window in windows if len(window.source_ids) == 1}
        if cause := next((r.cause for r in reports if r.cause and (r.symbol, r.timeframe) in alone), None):
            raise cause

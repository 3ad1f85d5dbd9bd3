"""Hands whole spans on as files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from backfill.config.parameters import as_list, as_moment, our_name
from backfill.hooks.blofin_hook import BlofinHook
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID

if TYPE_CHECKING:
    from airflow.sdk import Context

    from backfill.storage.series import Selection

MAX_LINES = 200


class ExportSegmentsOperator(BaseOperator):
    """Writes closed, whole days or months as segments and registers each once.

    :param folder: an ObjectStoragePath's URL, or a folder; empty: BACKFILL_EXPORT_FOLDER, and without it the task is
        skipped.
    :param suffix: csv or parquet.
    :param period: day or month; empty: a day, a month where a day has fewer than 24 bars.
    :param doubtful: also days that are in doubt.
    :param symbols: list or comma list; None: all. ``timeframes`` alike.
    :param start: only spans that open from here on (ISO 8601 or epoch ms). ``end`` alike.
    """

    template_fields: Sequence[str] = ("folder", "suffix", "period", "doubtful", "symbols", "timeframes", "start", "end")
    ui_color = "#d9cfe8"

    def __init__(
        self,
        *,
        folder: str | None = None,
        suffix: str = "csv",
        period: str | None = None,
        doubtful: bool | str = False,
        symbols: Sequence[str] | str | None = None,
        timeframes: Sequence[str] | str | None = None,
        start: str | None = None,
        end: str | None = None,
        candles_conn_id: str = CANDLES_CONN_ID,
        blofin_conn_id: str = BlofinHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folder = folder
        self.suffix = suffix
        self.period = period
        self.doubtful = doubtful
        self.symbols = symbols
        self.timeframes = timeframes
        self.start = start
        self.end = end
        self.candles_conn_id = candles_conn_id
        self.blofin_conn_id = blofin_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Export, and log a line per span that is left out."""
        from backfill.hooks.object_folder import folder_at
        from backfill.hooks.runtime_hook import open_runtime
        from backfill.jobs.files.export_segments import ExportTerms, export_segments

        with open_runtime(self.candles_conn_id, self.blofin_conn_id) as runtime:
            where = self.folder or runtime.settings.export_folder
            if not where:
                raise AirflowSkipException("no folder is named: set BACKFILL_EXPORT_FOLDER, or the parameter `folder`")
            terms = ExportTerms(suffix=self.suffix, period=self.period or None, doubtful=str(self.doubtful) == "True")
            store = runtime.store
            report = export_segments(store, folder_at(where), self._selection(store.now(), runtime.settle_ms), terms)
        lines = [*report.left, *report.notes]
        for line in lines[:MAX_LINES]:
            self.log.info(line)
        if len(lines) > MAX_LINES:
            self.log.info("and %d more", len(lines) - MAX_LINES)
        return report.totals()

    def _selection(self, at: Any, settle_ms: int) -> Selection:
        from backfill.storage.series import Selection

        start, end = as_moment("start", self.start), as_moment("end", self.end)
        return Selection(
            at,
            settle_ms,
            [our_name(symbol) for symbol in as_list(self.symbols) or ()] or None,
            as_list(self.timeframes),
            None if start is None else round(start.timestamp() * 1000),
            None if end is None else round(end.timestamp() * 1000),
        )

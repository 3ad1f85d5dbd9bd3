"""Audit the candles; find source outages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from backfill.config.parameters import as_list
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID, CandleStoreHook
from backfill.hooks.refusal import refused_in_one_line

if TYPE_CHECKING:
    from airflow.sdk import Context

MOST_LINES = 200


class AuditOperator(BaseOperator):
    """Recompute the ledger, tables and rows from the candles, and report differences.

    It fails only if the audit cannot run; differences are warnings.

    :param repair: repair what is possible without loss.
    :param symbols: instruments (list or comma list); None: everything, tables included.
    """

    template_fields: Sequence[str] = ("repair", "symbols")
    ui_color = "#d5e8d4"

    def __init__(
        self,
        *,
        repair: bool | str = False,
        symbols: Sequence[str] | str | None = None,
        candles_conn_id: str = CANDLES_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.repair = repair
        self.symbols = symbols
        self.candles_conn_id = candles_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Audit, and log a line per finding."""
        from backfill.hooks.run_conf import check_run_conf
        from backfill.jobs.maintain.audit import audit  # pandas loads here, not at parse

        with refused_in_one_line(context):
            check_run_conf(context)
        with CandleStoreHook(self.candles_conn_id).get_conn() as store:
            report = audit(store, repair=str(self.repair) == "True", symbols=as_list(self.symbols))
        for line in report.lines[:MOST_LINES]:
            self.log.warning(line)
        if len(report.lines) > MOST_LINES:
            self.log.warning("and %d more: see `backfill findings`", len(report.lines) - MOST_LINES)
        self.log.info("seconds: %s; in all: %s", report.seconds, report.totals())
        return report.totals()


class FindOutagesOperator(BaseOperator):
    """Find source outages, and settle findings they explain.

    :param lookback_hours: how far to look back; overlapping runs catch late answers.
    """

    template_fields: Sequence[str] = ("lookback_hours",)
    ui_color = "#d5e8d4"

    def __init__(
        self, *, lookback_hours: float | str = 72, candles_conn_id: str = CANDLES_CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.lookback_hours = lookback_hours
        self.candles_conn_id = candles_conn_id

    def execute(self, context: Context) -> int:
        """Log a line per outage; return their number."""
        from backfill.jobs.status.market_wide_holes import market_wide_holes

        with CandleStoreHook(self.candles_conn_id).get_conn() as store:
            at = store.now()
            outages = market_wide_holes(store, at=at, since=at - timedelta(hours=float(self.lookback_hours)))
        for outage in outages[:MOST_LINES]:
            self.log.warning(outage.detail["says"])
        return len(outages)

"""Refresh instruments, keep funding rates, prune old bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from backfill.hooks.blofin_hook import BlofinHook
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID
from backfill.hooks.refusal import refused_in_one_line

if TYPE_CHECKING:
    from airflow.sdk import Context

MOST_LINES = 200


class RefreshInstrumentsOperator(BaseOperator):
    """Asks primary sources for instruments, logs changes and declares the universe.

    `instruments: all` follows listings and delistings. Fails if a source does not answer; the old list stays.
    """

    ui_color = "#cfe8d5"

    def __init__(
        self,
        *,
        candles_conn_id: str = CANDLES_CONN_ID,
        blofin_conn_id: str = BlofinHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.candles_conn_id = candles_conn_id
        self.blofin_conn_id = blofin_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Refresh, and log a line per change."""
        from backfill.hooks.run_conf import check_run_conf
        from backfill.hooks.runtime_hook import open_runtime
        from backfill.jobs.universe.refresh_universe import refresh_universe

        with refused_in_one_line(context):
            check_run_conf(context)
        with open_runtime(self.candles_conn_id, self.blofin_conn_id) as runtime:
            report = refresh_universe(runtime)
        _tell(self, report.lines)
        return report.totals()


class FundingOperator(BaseOperator):
    """Keeps the funding rates of perpetuals whole, as far back as the universe's ``funding``, if any.

    What may be missing is logged and requested again the next day.
    """

    ui_color = "#d8d5ee"

    def __init__(
        self,
        *,
        candles_conn_id: str = CANDLES_CONN_ID,
        blofin_conn_id: str = BlofinHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.candles_conn_id = candles_conn_id
        self.blofin_conn_id = blofin_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Request missing payments, and log a line per history that is not whole."""
        from backfill.hooks.run_conf import check_run_conf
        from backfill.hooks.runtime_hook import open_runtime
        from backfill.jobs.maintain.keep_funding import keep_funding

        with refused_in_one_line(context):
            check_run_conf(context)
        with open_runtime(self.candles_conn_id, self.blofin_conn_id) as runtime:
            report = keep_funding(runtime, str(context["run_id"]))
        _tell(self, report.left)
        return report.totals()


class PruneOperator(BaseOperator):
    """Removes bars older than their retention, whole months by dropping partitions, and old rows of the run log.

    Days changed since their runs are then counted again for the view ``conditions``.

    :param plan_only: only report what would be removed.
    """

    template_fields: Sequence[str] = ("plan_only",)
    ui_color = "#e8e3cf"

    def __init__(
        self,
        *,
        plan_only: bool | str = False,
        candles_conn_id: str = CANDLES_CONN_ID,
        blofin_conn_id: str = BlofinHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan_only = plan_only
        self.candles_conn_id = candles_conn_id
        self.blofin_conn_id = blofin_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Prune, and log a line per series."""
        from backfill.hooks.run_conf import check_run_conf
        from backfill.hooks.runtime_hook import open_runtime
        from backfill.jobs.maintain.prune_candles import prune_candles
        from backfill.jobs.maintain.prune_run_log import prune_run_log
        from backfill.jobs.universe.declare_universe import declare
        from backfill.storage.conditions import count_changed_days

        with refused_in_one_line(context):
            check_run_conf(context)
        with open_runtime(self.candles_conn_id, self.blofin_conn_id) as runtime:
            declare(runtime, ask=False)
            dry_run = str(self.plan_only) == "True"
            report = prune_candles(runtime.store, settle_ms=runtime.settle_ms, dry_run=dry_run)
            log = prune_run_log(runtime.store, runtime.universe.log_retention, dry_run=dry_run)
            if not dry_run:
                count_changed_days(runtime.store)
        _tell(self, [*report.lines, *log.lines])
        return {**report.totals(), **log._asdict()}


def _tell(task: BaseOperator, lines: Sequence[str]) -> None:
    for line in lines[:MOST_LINES]:
        task.log.info(line)
    if len(lines) > MOST_LINES:
        task.log.info("and %d more", len(lines) - MOST_LINES)

"""List what primary sources have left to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backfill.config.parameters import as_list
from backfill.operators.blofin_candles import BlofinCandlesOperator
from backfill.operators.window_operator import FillOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class LeftoversOperator(FillOperator):
    """Returns the symbols that still lack bars which other sources may have, for a mapped fallback.

    It only asks Postgres. Parameters are those of :class:`FillOperator` (without a symbol it returns nothing), and

    :param asked_before: as in :class:`CcxtFallbackOperator`.
    :param most_items: the most items to return: more symbols share one.
    """

    ui_color = "#cfe8d5"

    def __init__(
        self, *, asked_before: str = BlofinCandlesOperator.primary, most_items: int = 1024, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.asked_before = asked_before
        self.most_items = most_items

    def execute(self, context: Context) -> list[str]:
        """Look once; an empty list skips the fallback."""
        if not self.symbol:  # to other operators that means all
            return []
        from backfill.hooks.runtime_hook import open_runtime
        from backfill.hooks.task_identity import run_identity
        from backfill.jobs.fill.fill_universe import left_for_others
        from backfill.jobs.fill.share_work import share_work

        with open_runtime(self.candles_conn_id, self.blofin_conn_id) as runtime:
            left = left_for_others(
                runtime.store,
                self.known_windows(runtime),
                run_identity(context),
                self.asked_before,
                as_list(self.sources),
                recheck=str(self.recheck) == "True",
            )
        found = share_work(left.requests_of_symbol(), self.most_items)
        self.log.info(
            "other sources are asked for what is left: %d series, %d instances", len(left.windows), len(found)
        )
        return found

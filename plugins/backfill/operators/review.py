"""Ask a person for decisions, and carry them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from backfill.config.settings import load_settings
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID, CandleStoreHook
from backfill.hooks.refusal import refused_in_one_line

if TYPE_CHECKING:
    from airflow.sdk import Context


class ListDecisionsOperator(BaseOperator):
    """Returns the decisions that wait for a person, for a mapped approval: ``subject``, ``body``, ``ids``.

    :param about: `quarantine` or `findings` (those with two values).
    :param most: questions at once, the newest first.
    """

    template_fields: Sequence[str] = ("about", "most")
    ui_color = "#cfe8d5"

    def __init__(
        self, *, about: str, most: int | str = 20, candles_conn_id: str = CANDLES_CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.about = about
        self.most = most
        self.candles_conn_id = candles_conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Look; only reads."""
        from backfill.hooks.run_conf import check_run_conf
        from backfill.jobs.by_hand.review import cases

        with refused_in_one_line(context):
            check_run_conf(context)
        with CandleStoreHook(self.candles_conn_id).get_conn() as store:
            found = cases(store, self.about, int(self.most))
        for case in found:
            self.log.info(case.subject)
        return [case._asdict() for case in found]


class DecideOperator(BaseOperator):
    """Does what a person chose, by the code of `backfill quarantine`, `findings dismiss` and `correct`.

    :param ids: the rows of the question.
    :param answer: what the approval returned: ``chosen_options`` and ``responded_by_user``.
    """

    template_fields: Sequence[str] = ("about", "ids", "answer")
    ui_color = "#ffe6cc"

    def __init__(
        self,
        *,
        about: str,
        ids: Any,
        answer: Any,
        candles_conn_id: str = CANDLES_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.about = about
        self.ids = ids
        self.answer = answer
        self.candles_conn_id = candles_conn_id

    def execute(self, context: Context) -> str:
        """Decide, and say what was done."""
        from backfill.domain.review_answers import LATER
        from backfill.jobs.by_hand.review import decide

        chosen: Sequence[str] = self.answer["chosen_options"]
        settle_ms = round(load_settings().settle_s * 1000)
        with CandleStoreHook(self.candles_conn_id).get_conn() as store:
            done = decide(store, self.about, list(self.ids), (*chosen, LATER)[0], _who(self.answer), settle_ms)
        self.log.info(done)
        return done


def _who(answer: Mapping[str, Any]) -> str:
    """The user that answered; no one, if the time ran out."""
    user = answer.get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or "nobody")

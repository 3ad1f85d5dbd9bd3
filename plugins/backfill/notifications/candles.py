"""A notifier that says what calls for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import BaseNotifier

from backfill.domain.alert_kinds import KINDS
from backfill.hooks.candle_store_hook import CANDLES_CONN_ID, CandleStoreHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class CandlesNotifier(BaseNotifier):
    """Reports what is wrong with the candles, if anything.

    For ``on_success_callback`` and ``on_failure_callback`` of a Dag or a task, such as::

        mail = SmtpNotifier(to="me@example.org", subject="{{ alert_title }}", html_content="{{ alert }}")
        notify = CandlesNotifier(through=[mail])

        @dag(on_success_callback=notify, on_failure_callback=notify, ...)

    :param through: Airflow notifiers, or callables that take the context. In it: ``alert`` (a sentence a line),
        ``alert_title`` and ``alerts`` (text by kind). With none a warning is logged.
    :param kinds: which of outage (all other sources fail), coverage (below the objective), silence (not believed),
        reach (a gap leaves it), ban, quarantine (has grown).
    :param repeat_hours: the same trouble is reported once in that many hours.
    :param name: whose reports count for that. A second notifier for the same trouble needs another.
    """

    template_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        through: Sequence[Callable[[Any], object]] = (),
        kinds: Sequence[str] = KINDS,
        repeat_hours: float = 24,
        name: str = "",
        candles_conn_id: str = CANDLES_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if unknown := sorted(set(kinds) - set(KINDS)):
            raise ValueError(f"kinds names {', '.join(unknown)}; there are {', '.join(KINDS)}")
        self.through = through
        self.kinds = kinds
        self.repeat_hours = repeat_hours
        self.name = name or ",".join(sorted(type(one).__name__ for one in through)) or "log"
        self.candles_conn_id = candles_conn_id

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """There are none. Under `dag.test` Airflow's own way asks a serialized Dag for what it lacks."""

    def notify(self, context: Context) -> None:
        """Send all that is new in one message; what fails is sent again next time."""
        from backfill.config.settings import load_settings
        from backfill.jobs.status.alerts import find_alerts, telling

        settings = load_settings()
        with CandleStoreHook(self.candles_conn_id).get_conn() as store:
            alerts = find_alerts(
                store,
                alert_after_hours=settings.alert_after_hours,
                settle_ms=round(settings.settle_s * 1000),
                kinds=self.kinds,
            )
            with telling(store, self.name, alerts, timedelta(hours=self.repeat_hours)) as news:
                if news:
                    self._send(context, {alert.kind: alert.text for alert in news})

    def _send(self, context: Context, alerts: dict[str, str]) -> None:
        title = f"Candles: {', '.join(alerts)}"
        if not self.through:
            self.log.warning("%s\n%s", title, "\n".join(alerts.values()))
        message: dict[str, Any] = {"alert": "\n".join(alerts.values()), "alert_title": title, "alerts": alerts}
        # In place: a copy of Airflow 2's context reads each of its names, the deprecated too.
        cast("dict[str, Any]", context).update(message)
        for notifier in self.through:
            copy(notifier)(context)  # a notifier renders its own templates in place, once

"""The pages "Candles" behind Airflow 3's login. Airflow 2 shows nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from backfill.hooks import run_note

if TYPE_CHECKING:
    from backfill.storage.database import Connection

# Who may see this Dag's runs may see the pages; who may edit it may decide.
GUARDED_AS_DAG = "candles_fill_gaps"
# The button Fill starts it through Airflow's API, as the signed-in user.
FILLED_BY_DAG = "candles_catch_up"


class BackfillPlugin(AirflowPlugin):
    """The pages and their navigation entry."""

    name = "backfill"
    # Relative, so they work behind a path prefix.
    external_views: list[Any] = [  # noqa: RUF012 - Airflow's own attribute is a plain list
        {
            "name": "Candles",
            "href": "backfill/",
            "destination": "nav",
            "category": "browse",
            "url_route": "candles",
        },
        {
            "name": "Candles",
            "href": "backfill/#/runs?dag={DAG_ID}",
            "destination": "dag",
            "url_route": "candles_of_dag",
        },
        {
            "name": "Candles",
            "href": "backfill/#/runs?dag={DAG_ID}&dag_run={RUN_ID}",
            "destination": "dag_run",
            "url_route": "candles_of_run",
        },
        {
            "name": "Candles",
            "href": "backfill/#/runs?dag={DAG_ID}&dag_run={RUN_ID}&task={TASK_ID}&map_index={MAP_INDEX}",
            "destination": "task_instance",
            "url_route": "candles_of_task",
        },
    ]

    listeners: list[Any] = [run_note]  # noqa: RUF012

    @property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """Imports on demand: every process loads the plugin, and a task would lose about a second."""
        from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
        from airflow.api_fastapi.core_api.security import requires_access_dag

        from backfill.ui.api import Pages
        from backfill.ui.coverage_app import coverage_app
        from backfill.ui.rights import user_rights

        app = coverage_app(
            Pages(_connect, _settle_ms),
            requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=GUARDED_AS_DAG),
            deciding=requires_access_dag("PUT", param_dag_id=GUARDED_AS_DAG),
            rights=user_rights(decided_as=GUARDED_AS_DAG, filled_by=FILLED_BY_DAG),
            guarded_as=GUARDED_AS_DAG,
        )
        return [{"app": app, "url_prefix": "/backfill", "name": "backfill"}]

    @property
    def fastapi_root_middlewares(self) -> list[Any]:  # type: ignore[override]
        """The local stack's API server is for this machine's names only."""
        from backfill.config.loopback import LOOPBACK_ONLY, LoopbackOnly

        return [{"middleware": LoopbackOnly, "name": "loopback only"}] if os.environ.get(LOOPBACK_ONLY) == "1" else []


def _connect() -> Connection:
    from backfill.hooks.candle_store_hook import CandleStoreHook
    from backfill.storage.database import connect

    return connect(CandleStoreHook().uri(), application_name="backfill coverage page")


def _settle_ms() -> int:
    from backfill.config.settings import load_settings

    return round(load_settings().settle_s * 1000)

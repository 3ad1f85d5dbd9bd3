"""Airflow connection to Blofin: base URL, proxies, time-out."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from backfill.config.connections import SourceConnection, source_connection
from backfill.hooks import airflow2_form
from backfill.hooks.provider_info import BLOFIN_CONNECTION


class BlofinHook(BaseHook):
    """Reads the connection ``blofin_conn_id``; without it uses Blofin's public defaults."""

    conn_name_attr = "blofin_conn_id"
    default_conn_name = "blofin_default"
    conn_type = "blofin"
    hook_name = "Blofin"

    def __init__(self, blofin_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blofin_conn_id = blofin_conn_id

    # Airflow 3 reads the provider's info instead.
    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Form fields for Airflow 2."""
        return airflow2_form.field_behaviour(BLOFIN_CONNECTION)

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Form widgets for Airflow 2."""
        return airflow2_form.form_widgets(BLOFIN_CONNECTION)

    def get_conn(self) -> SourceConnection:
        """How to reach Blofin. Raises :class:`SettingsInvalid` for an unusable connection."""
        try:
            connection = self.get_connection(self.blofin_conn_id)
        except AirflowNotFoundException:
            return SourceConnection()
        return source_connection(self.blofin_conn_id, connection)

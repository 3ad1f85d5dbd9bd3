"""Airflow connection to Blofin: base URL, proxies, time-out."""

from __future__ import annotations

from contextlib import closing
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
        return airflow2_form.field_behaviour(BLOFIN_CONNECTION)

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        return airflow2_form.form_widgets(BLOFIN_CONNECTION)

    def get_conn(self) -> SourceConnection:
        """How to reach Blofin. Raises :class:`SettingsInvalid` for an unusable connection."""
        try:
            connection = self.get_connection(self.blofin_conn_id)
        except AirflowNotFoundException:
            return SourceConnection()
        return source_connection(self.blofin_conn_id, connection)

    def test_connection(self) -> tuple[bool, str]:
        """Request the instruments once, within the shared rate budget; Airflow's form shows the result."""
        from backfill.errors import BackfillError
        from backfill.hooks.candle_store_hook import CANDLES_CONN_ID
        from backfill.hooks.runtime_hook import open_runtime

        try:
            with (
                open_runtime(CANDLES_CONN_ID, self.blofin_conn_id) as runtime,
                closing(runtime.new_client(self.conn_type, tries=1)) as client,
            ):
                return True, f"Blofin answers and lists {len(client.markets())} instruments"
        except BackfillError as error:
            return False, str(error)

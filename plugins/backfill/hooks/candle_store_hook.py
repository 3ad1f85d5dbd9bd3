"""Airflow connection to the candles' Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from backfill.config.connections import database_connection
from backfill.errors import ConfigurationError

if TYPE_CHECKING:
    from backfill.storage.candle_store import CandleStore

CANDLES_CONN_ID = "candles_db"


class CandleStoreHook(BaseHook):
    """The candle store over psycopg 3: Airflow 2.11's PostgresHook has no binary COPY."""

    def __init__(self, candles_conn_id: str = CANDLES_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candles_conn_id = candles_conn_id

    def uri(self) -> str:
        """The libpq URI. Raises :class:`ConfigurationError` without such a connection."""
        try:
            connection = self.get_connection(self.candles_conn_id)
        except AirflowNotFoundException:
            raise ConfigurationError(
                f"Airflow has no connection {self.candles_conn_id!r}: add one of type Postgres, or set "
                f"AIRFLOW_CONN_{self.candles_conn_id.upper()}"
            ) from None
        return database_connection(self.candles_conn_id, connection)

    def get_conn(self) -> CandleStore:
        """A store over a new connection; the caller closes it."""
        from backfill.storage.candle_store import CandleStore
        from backfill.storage.database import connect

        return CandleStore(connect(self.uri()))

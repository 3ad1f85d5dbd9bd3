"""Postgres and the sources, from their Airflow connections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from backfill.config.connections import SourceConnection, source_connection
from backfill.config.settings import load_settings
from backfill.hooks.blofin_hook import BlofinHook
from backfill.hooks.candle_store_hook import CandleStoreHook

if TYPE_CHECKING:
    from backfill.sources.runtime import Runtime


def open_runtime(candles_conn_id: str, blofin_conn_id: str) -> Runtime:
    """A runtime; the caller closes it.

    Each source uses the connection ``<source>_default`` (Blofin ``blofin_conn_id``), else its public address.
    BACKFILL_<SOURCE>_URL overrides the host.
    """
    from backfill.sources.runtime import Runtime

    settings = load_settings()
    conn_ids = {BlofinHook.conn_type: blofin_conn_id}

    def connection_of(source: str) -> SourceConnection:
        """The source's connection, at its configured address."""
        found = source_of_connection(conn_ids.get(source, f"{source}_default"))
        url = settings.source_urls.get(source)
        return found if url is None else replace(found, base_url=url)

    return Runtime(CandleStoreHook(candles_conn_id).uri(), settings, connection_of)


def source_of_connection(conn_id: str) -> SourceConnection:
    """How to reach a source. Raises :class:`SettingsInvalid` for an unusable connection."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return SourceConnection()
    return source_connection(conn_id, connection)

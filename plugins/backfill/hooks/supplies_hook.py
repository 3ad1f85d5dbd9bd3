"""What a task needs to fill: the candles' Postgres and Blofin, from their Airflow connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backfill.hooks.blofin_hook import BlofinHook
from backfill.hooks.candle_store_hook import CandleStoreHook
from backfill.settings import load_settings

if TYPE_CHECKING:
    from backfill.jobs.supplies import Supplies


def open_supplies(candles_conn_id: str, blofin_conn_id: str) -> Supplies:
    """To be closed by the caller. BACKFILL_BLOFIN_URL goes before the connection's host, as on the command line."""
    from dataclasses import replace

    from backfill.jobs.supplies import Supplies

    settings = load_settings()
    blofin = BlofinHook(blofin_conn_id).get_conn()
    if url := settings.source_urls.get("blofin"):
        blofin = replace(blofin, base_url=url)
    return Supplies(CandleStoreHook(candles_conn_id).uri(), settings, blofin)

"""EMA 200 of daily closes, as soon as a fill has changed daily candles and 200 of them are there without a hole.

An example to copy into your Dags: it follows the asset `candles://1d`, on which each run of the candle keeper emits at
most one event, and asks `ready` of the view `sync_status` (the universe's `ready_bars`, 200 unless it says otherwise).
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import Asset, dag, task

BARS = 200
READY = "SELECT symbol FROM backfill.sync_status WHERE timeframe = '1d' AND ready ORDER BY symbol"
CLOSES = """
SELECT close FROM backfill.ohlcv WHERE symbol = %(symbol)s AND timeframe = '1d' ORDER BY open_time DESC LIMIT %(bars)s
"""


@dag(
    dag_id="ema_200",
    schedule=Asset("candles://1d"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    doc_md=__doc__,
    tags=["candles", "example"],
)
def ema_200() -> None:
    @task
    def compute() -> dict[str, float]:
        """The newest EMA 200 by symbol."""
        import pandas as pd

        from backfill.hooks.candle_store_hook import CandleStoreHook
        from backfill.storage.database import connect

        emas = {}
        with connect(CandleStoreHook().uri()) as connection:
            for (symbol,) in connection.execute(READY).fetchall():
                rows = connection.execute(CLOSES, {"symbol": symbol, "bars": BARS}).fetchall()
                closes = pd.Series([close for (close,) in reversed(rows)])
                emas[symbol] = float(closes.ewm(span=BARS, adjust=False).mean().iloc[-1])
        return emas

    compute()


ema_200()

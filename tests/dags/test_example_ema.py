"""The example Dag of docs/examples, which follows the daily candles."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_line import ON_AIRFLOW_2
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from integration.helpers import DAY_MS, candles, opens, store_bars, wanted_series

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "ema_200.py"


@pytest.mark.skipif(ON_AIRFLOW_2, reason="written for Airflow 3")
def test_the_ema_is_of_the_series_whose_200_daily_bars_are_whole(db, database_uri):
    from airflow.dag_processing.dagbag import DagBag

    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    end_ms = round((midnight - timedelta(days=1)).timestamp() * 1000) + DAY_MS
    with CandleStore(connect(database_uri)) as store:
        for symbol, first in (("BTC-USDT", end_ms - 200 * DAY_MS), ("ETH-USDT", end_ms - 150 * DAY_MS)):
            window = wanted_series(store, symbol, "1d", history_ms=200 * DAY_MS, now_ms=end_ms)
            store_bars(store, window, candles(opens(first, end_ms, DAY_MS), close=123.0))

    bag = DagBag(EXAMPLE)
    assert bag.import_errors == {}
    emas = bag.dags["ema_200"].get_task("compute").python_callable()
    assert emas == pytest.approx({"BTC-USDT": 123.0})

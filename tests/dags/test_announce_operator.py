"""AnnounceOperator: what a run has changed, as events of assets."""

from __future__ import annotations

import pytest

from airflow_line import ON_AIRFLOW_2


@pytest.mark.skipif(ON_AIRFLOW_2, reason="reads Airflow 3's metadata")
def test_a_run_emits_one_event_for_each_timeframe_that_it_has_changed_and_a_run_without_work_none(db, run_dag):
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    def events(run_id):
        with create_session() as session:
            found = session.execute(
                select(AssetModel.name, AssetEvent.extra, AssetEvent.source_task_id)
                .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
                .where(AssetEvent.source_run_id == run_id)
                .order_by(AssetModel.name)
            )
            return [tuple(row) for row in found]

    first = run_dag()
    hours, minutes = events(first.run_id)
    assert (hours[0], minutes[0], minutes[2]) == ("candles://1h", "candles://1m", "announce")
    assert minutes[1] == {
        "inserted": 720,
        "revised": 0,
        "sources": {"blofin": 720},
        "window_start": "2025-03-02T18:00:00+00:00",
        "window_end": "2025-03-03T00:00:00+00:00",
        "series": 2,
        "symbols": ["BTC-USDT", "ETH-USDT"],
    }
    assert run_dag().tasks["announce"] == "skipped"


def test_a_run_that_failed_has_changed_candles_too(db, context, exchange):
    from airflow.providers.common.compat.sdk import AirflowSkipException

    from backfill.operators.announce import AnnounceOperator
    from backfill.operators.blofin_candles import BlofinCandlesOperator

    emitted = {}

    class Events(dict):
        def __missing__(self, alias):
            return self

        def add(self, asset, extra):
            emitted[asset.uri.rstrip("/")] = extra

    context["outlet_events"] = Events()
    announce = AnnounceOperator(task_id="announce")
    with pytest.raises(AirflowSkipException, match="nothing to announce"):
        announce.execute(context)
    BlofinCandlesOperator(task_id="a_task", symbol="BTC-USDT", timeframes="1h").execute(context)
    db.execute("UPDATE gap_fill_runs SET status = 'failed'")
    assert announce.execute(context) == ["candles://1h"]
    symbols = '["BTC-USDT"]' if ON_AIRFLOW_2 else ["BTC-USDT"]  # there it must be hashable
    assert (emitted["candles://1h"]["inserted"], emitted["candles://1h"]["symbols"]) == (48, symbols)

"""Announce the candles that a run changed, as events of Airflow's assets."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, Asset, AssetAlias, BaseOperator
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from backfill.hooks.candle_store_hook import CANDLES_CONN_ID, CandleStoreHook

if TYPE_CHECKING:
    from airflow.sdk import Context

# For more the event has only the number: Airflow's database keeps it.
MOST_SYMBOLS = 50


class AnnounceOperator(BaseOperator):
    """One event per changed timeframe, on the asset ``candles://<timeframe>``; skipped if nothing changed.

    A Dag follows with ``schedule=Asset("candles://1d")``. ``extra`` of the event: ``inserted`` and ``revised`` rows,
    ``sources`` (rows by source), ``window_start`` and ``window_end``, ``series`` (number) and ``symbols``, NULL if too
    many. A task of its own: a failed task's events are lost, and a failed run has changed candles too.
    """

    alias = AssetAlias("candles")

    def __init__(self, *, candles_conn_id: str = CANDLES_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**{"trigger_rule": "all_done", "outlets": [self.alias], **kwargs})
        self.candles_conn_id = candles_conn_id

    def execute(self, context: Context) -> list[str]:
        """Emit the events; return the assets."""
        from backfill.storage.run_reports import changes_of_dag_run

        ti = context["ti"]
        with CandleStoreHook(self.candles_conn_id).get_conn() as store:
            changes = changes_of_dag_run(store, ti.dag_id, ti.run_id)
        if not changes:
            raise AirflowSkipException("no candle was changed: there is nothing to announce")
        assets = [Asset(f"candles://{change['timeframe']}") for change in changes]
        if not AIRFLOW_V_3_0_PLUS:
            _register_on_airflow_2(self.alias.name, [asset.uri for asset in assets])
        for asset, change in zip(assets, changes, strict=True):
            counts = f"{change['inserted']:,} inserted, {change['revised']:,} revised"
            self.log.info("candles://%s: %s", change["timeframe"], counts)
            context["outlet_events"][self.alias].add(asset, extra=_extra(change))
        return [f"candles://{change['timeframe']}" for change in changes]


def _register_on_airflow_2(name: str, uris: list[str]) -> None:
    """Register on Airflow 2 what a task needs to emit events through the alias ``name``.

    Its Dag processor, which ``airflow dags backfill`` may lack, registers the alias. The first event creates datasets
    and links; if two runs do so at once one fails, and its task stays ``running`` for ever.
    """
    from airflow.models.dataset import DatasetAliasModel, DatasetModel  # type: ignore[import-not-found]
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import IntegrityError

    def ensured(session: Any, model: Any, **key: str) -> Any:
        row = session.scalar(select(model).filter_by(**key))
        if row is None:
            row = model(**key)
            session.add(row)
        return row

    for uri in (*uris, *uris):  # once more, where another run was first
        with suppress(IntegrityError), create_session() as session:
            alias = ensured(session, DatasetAliasModel, name=name)
            dataset = ensured(session, DatasetModel, uri=uri)
            if alias not in dataset.aliases:
                dataset.aliases.append(alias)


def _extra(change: dict[str, Any]) -> dict[str, Any]:
    """On Airflow 2, which hashes the values, lists and mappings are JSON."""
    symbols = change["symbols"]
    extra = {
        "inserted": change["inserted"],
        "revised": change["revised"],
        "sources": change["sources"],
        "window_start": change["window_start"].isoformat(),
        "window_end": change["window_end"].isoformat(),
        "series": len(symbols),
        "symbols": symbols if len(symbols) <= MOST_SYMBOLS else None,
    }
    if not AIRFLOW_V_3_0_PLUS:
        return {name: json.dumps(value) if isinstance(value, (dict, list)) else value for name, value in extra.items()}
    return extra

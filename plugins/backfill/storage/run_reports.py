"""What the run log shows of a Dag run, and of fallback outages."""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg.rows import dict_row

from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.named_queries import query


class ExternalOutage(NamedTuple):
    """Hours for which every fallback source failed, and their last errors."""

    hours: float
    errors: list[str]


def attempts_of_dag_run(store: CandleStore, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """A Dag run's rows of ``gap_fill_runs``, oldest first."""
    params = {"dag_id": dag_id, "run_id": run_id}
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("runs/select_dag_run_attempts"), params).fetchall()


def changes_of_dag_run(store: CandleStore, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Candles that a Dag run inserted or revised, a row per changed timeframe."""
    params = {"dag_id": dag_id, "run_id": run_id}
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("runs/select_dag_run_changes"), params).fetchall()


def revisions_of_dag_run(store: CandleStore, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Per series, the number of ``bars`` a Dag run replaced, with the oldest one before and after."""
    params = {"dag_id": dag_id, "run_id": run_id}
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("runs/select_dag_run_revisions"), params).fetchall()


def external_outage(store: CandleStore) -> ExternalOutage | None:
    """None while any fallback source answers, or none has failed."""
    with translated_errors():
        row = store.connection.execute(query("runs/select_external_outage")).fetchone()
    return None if row is None else ExternalOutage(*row)

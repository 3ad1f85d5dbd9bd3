"""What calls for a person, what of it was sent, and the figures of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.named_queries import query


class Metric(NamedTuple):
    """A figure ``of_what``: a timeframe or a source, as ``kind`` says."""

    name: str
    kind: str
    of_what: str
    value: float


def weak_series(store: CandleStore, at: datetime, settle_ms: int = 0) -> list[dict[str, Any]]:
    """Wanted series below their objective, or with silent bars not believed."""
    return _rows(store, "alerts/select_weak_series", at=at, settle_ms=settle_ms)


def bans(store: CandleStore, since: datetime) -> list[dict[str, Any]]:
    """Sources that have shut this address out."""
    return _rows(store, "alerts/select_bans", since=since)


def new_quarantine(store: CandleStore, since: datetime) -> list[dict[str, Any]]:
    """Counts of undecided rows by series, source and rule."""
    return _rows(store, "alerts/select_new_quarantine", since=since)


@contextmanager
def telling_new(
    store: CandleStore, told_by: str, subjects: Sequence[tuple[str, str]], repeat: timedelta
) -> Iterator[set[tuple[str, str]]]:
    """The kinds and subjects that are new or were sent longer ago; sent if the block ends well."""
    params = {
        "told_by": told_by,
        "kinds": [kind for kind, _ in subjects],
        "subjects": [subject for _, subject in subjects],
        "repeat": repeat,
    }
    with translated_errors(), store.connection.transaction():
        yield {(row["kind"], row["subject"]) for row in _rows(store, "alerts/keep_told", **params)}


def metrics_of_dag_run(store: CandleStore, dag_id: str, run_id: str, at: datetime, settle_ms: int = 0) -> list[Metric]:
    """The figures of all series as of ``at``, and of one Dag run."""
    rows = _rows(store, "runs/select_metrics", dag_id=dag_id, run_id=run_id, at=at, settle_ms=settle_ms)
    return [Metric(**row) for row in rows]


def _rows(store: CandleStore, name: str, **params: Any) -> list[dict[str, Any]]:
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query(name), params).fetchall()

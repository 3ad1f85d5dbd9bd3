"""The condition of each series and day, as counted by the database."""

from __future__ import annotations

from typing import Any, NamedTuple

from backfill.storage.candle_store import CandleStore
from backfill.storage.database import fetch_one, translated_errors
from backfill.storage.named_queries import query
from backfill.storage.series import Selection

# Whole days, best first; a day with a closed market lacks nothing.
USABLE = ("available", "repaired", "degraded", "closed")


class CountedDays(NamedTuple):
    series: int
    days: int


def conditions(store: CandleStore, which: Selection) -> list[dict[str, Any]]:
    """One row of the view ``conditions`` per selected series and day, oldest first."""
    return store.rows("series/select_conditions", which)


def count_changed_days(store: CandleStore) -> CountedDays:
    """Count all changed days again, one transaction a series."""
    with translated_errors():
        changed = store.connection.execute(query("series/select_changed_series")).fetchall()
        days = [
            fetch_one(store.connection, query("series/count_changed_days"), {"series_id": series_id})[0]
            for (series_id,) in changed
        ]
    return CountedDays(len(days), sum(days))

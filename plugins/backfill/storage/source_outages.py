"""Times when a source lacks the bars of most of its series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg.rows import dict_row

from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.named_queries import query


class SourceOutage(NamedTuple):
    """``series`` of ``of_series`` series lack their bars; ``symbols``: some of them."""

    source_id: int
    source: str
    timeframe: str
    start_ms: int
    end_ms: int
    series: int
    of_series: int
    symbols: list[str]


class OutageRule(NamedTuple):
    """When missing bars count as an outage.

    ``share`` of the series with any answer for a bar, and at least ``fewest``, must lack it. A flat bar does not count
    if more than ``rests`` of the coin's other bars are flat.
    """

    share: float
    fewest: int
    rests: float
    most_symbols: int


def source_outages(store: CandleStore, rule: OutageRule, *, since: datetime, at: datetime) -> list[SourceOutage]:
    """The outages between ``since`` and ``at``, oldest first."""
    params = {
        "since_ms": round(since.timestamp() * 1000),
        "at_ms": round(at.timestamp() * 1000),
        **rule._asdict(),
    }
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return [SourceOutage(**row) for row in cursor.execute(query("findings/select_source_outages"), params)]


def settle_explained_findings(
    store: CandleStore,
    outage: SourceOutage,
    outage_id: int,
    kinds: Sequence[str],
    *,
    kinds_around: Sequence[str] = (),
    around_ms: int = 0,
) -> None:
    """Settle open findings of ``kinds`` inside ``outage`` (finding ``outage_id``).

    Also those of ``kinds_around`` up to ``around_ms`` (a bar at least) around it, of series flat for most of it.
    """
    params = {
        **outage._asdict(),
        "outage_id": outage_id,
        "kinds": list(kinds),
        "kinds_around": list(kinds_around),
        "around_ms": around_ms,
    }
    with translated_errors():
        store.connection.execute(query("findings/explain_by_outage"), params)

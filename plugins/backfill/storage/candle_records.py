"""All rows about one bar, read in one snapshot."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.named_queries import query

Row = dict[str, Any]


class CandleRecords(NamedTuple):
    """The rows about one bar as of ``at``.

    ``versions``: oldest first, with the present one. ``sources``: best first. ``carried``: from which former names.
    """

    at: datetime
    series: Row
    candle: Row | None
    versions: list[Row]
    findings: list[Row]
    quarantine: list[Row]
    sources: list[Row]
    carried: list[Row]


def candle_records(
    store: CandleStore, symbol: str, timeframe: str, open_time: datetime, open_ms: int, *, settle_ms: int
) -> CandleRecords | None:
    """All rows about the bar at ``open_time`` (``open_ms``); None: no such series."""
    connection = store.connection
    with translated_errors(), connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        params: Row = {
            "symbol": symbol,
            "timeframe": timeframe,
            "open_ms": open_ms,
            "open_time": open_time,
            "at": store.now(),
            "settle_ms": settle_ms,
        }

        def rows(name: str) -> list[Row]:
            """The rows of the query ``name``."""
            return cursor.execute(query(name), params).fetchall()

        series = next(iter(rows("series/select_one_series")), None)
        if series is None:
            return None
        params |= {"series_id": series["series_id"], "source_ids": series["source_ids"]}
        return CandleRecords(
            at=params["at"],
            series=series,
            candle=next(iter(rows("candles/select_candle")), None),
            versions=rows("candles/select_candle_history"),
            findings=rows("findings/select_findings_of_candle"),
            quarantine=rows("by_hand/select_quarantine_of_candle"),
            sources=rows("sources/select_sources_of_candle"),
            carried=rows("renames/select_carried_of_candle"),
        )

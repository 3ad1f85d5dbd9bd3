"""Which series are wanted, how far back, from which sources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from backfill.config.universe_model import SeriesWish
from backfill.domain.timeframes import utc
from backfill.storage.database import Connection, translated_errors
from backfill.storage.named_queries import query

SeriesKey = tuple[str, str]


class WishList:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def wanted(self) -> dict[SeriesKey, SeriesWish]:
        """Every series wanted now, with its terms."""
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("series/select_wishes")).fetchall()
        wishes = [SeriesWish(**{**row, "sources": tuple(row["sources"])}) for row in rows]
        return {(wish.symbol, wish.timeframe): wish for wish in wishes}

    def declare(
        self, wishes: Sequence[SeriesWish], source_id: Callable[[str], int], dropped: Collection[SeriesKey] = ()
    ) -> None:
        """Want ``wishes`` on their terms, and no longer ``dropped``."""
        params = {
            "wishes": Jsonb([_as_row(wish, source_id) for wish in wishes]),
            "dropped": Jsonb([{"symbol": symbol, "timeframe": timeframe} for symbol, timeframe in sorted(dropped)]),
        }
        symbols = list({wish.symbol for wish in wishes})
        with translated_errors(), self._connection.transaction():
            self._connection.execute(query("instruments/name_instruments"), {"symbols": symbols})
            self._connection.execute(query("series/declare_series"), params)


def _as_row(wish: SeriesWish, source_id: Callable[[str], int]) -> dict[str, Any]:
    row = asdict(replace(wish, sources=()))
    since_ms, until_ms = row.pop("since_ms"), row.pop("until_ms")
    del row["sources"]
    return {
        **row,
        "since": None if since_ms is None else utc(since_ms).isoformat(),
        "until": None if until_ms is None else utc(until_ms).isoformat(),
        "source_ids": [source_id(name) for name in wish.sources],
    }

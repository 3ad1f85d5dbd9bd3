"""Which series are wanted, how far back, from which sources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from backfill.config.universe_model import SeriesWish
from backfill.domain.timeframes import utc
from backfill.domain.venues import venue
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.named_queries import query
from backfill.storage.series import Selection

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

    def are_any(self) -> bool:
        """Whether any series is wanted."""
        with translated_errors():
            return bool(fetch_one(self._connection, "SELECT EXISTS (SELECT FROM series WHERE wanted)")[0])

    def was_kept(self, symbol: str) -> bool:
        """Whether a series of the instrument is or was wanted."""
        with translated_errors():
            return bool(fetch_one(self._connection, query("series/was_kept"), {"symbol": symbol})[0])

    def primaries(self, which: Selection) -> list[str]:
        """The primary sources of the selected series."""
        with translated_errors():
            rows = self._connection.execute(query("series/select_primaries"), which.as_params()).fetchall()
        return [str(name) for (name,) in rows]

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
            names = {name for wish in wishes for name in wish.sources}
            reaches = [
                {
                    "id": source_id(name),
                    "reach_bars": venue(name).serves_bars,
                    "reach_by_timeframe": venue(name).bars_by_timeframe,
                }
                for name in sorted(names)
            ]
            self._connection.execute(query("sources/describe_sources"), {"sources": Jsonb(reaches)})


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

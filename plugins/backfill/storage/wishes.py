"""The wish list: which series are wanted, how far back and from whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from backfill.config.universe_model import SeriesWish
from backfill.domain.timeframes import utc
from backfill.storage.database import Connection, translated_errors
from backfill.storage.named_queries import query

# Pairs of symbol and timeframe.
Wishes = set[tuple[str, str]]


class WishList:
    """Reads and writes what ``series`` says of the wishes, over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def wanted(self) -> Wishes:
        """Every series that is wanted now."""
        with translated_errors():
            rows = self._connection.execute(query("series/select_wanted_series")).fetchall()
        return {(str(symbol), str(timeframe)) for symbol, timeframe in rows}

    def declare(self, rows: Sequence[dict[str, Any]], dropped: Collection[tuple[str, str]] = ()) -> None:
        """Want the series of ``rows`` (see :func:`wish_rows`) and no longer want those that are ``dropped``."""
        params = {
            "wishes": Jsonb(list(rows)),
            "dropped": Jsonb([{"symbol": symbol, "timeframe": timeframe} for symbol, timeframe in sorted(dropped)]),
        }
        with translated_errors(), self._connection.transaction():
            self._connection.execute(query("series/declare_series"), params)


def wish_rows(
    wishes: Sequence[SeriesWish],
    sources_of: Callable[[SeriesWish], Sequence[str]],
    source_id: Callable[[str], int],
) -> list[dict[str, Any]]:
    """The wishes as rows of ``series``."""
    return [
        {
            "symbol": wish.symbol,
            "timeframe": wish.timeframe,
            "history_ms": wish.history_ms,
            "since": None if wish.since_ms is None else utc(wish.since_ms).isoformat(),
            "until": None if wish.until_ms is None else utc(wish.until_ms).isoformat(),
            "retention_ms": wish.retention_ms,
            "spot_proxy": wish.spot_proxy,
            "objective_pct": wish.objective_pct,
            "ready_bars": wish.ready_bars,
            "roll_up": wish.roll_up,
            "source_ids": [source_id(name) for name in sources_of(wish)],
        }
        for wish in wishes
    ]

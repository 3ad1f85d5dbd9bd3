"""Files that candles came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.database import Connection, translated_errors
from backfill.storage.named_queries import query


class ImportLog:
    """``imported_files``, and series that only keep what was imported."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep_series(self, symbol: str, timeframe: str, *, spot_proxy: bool) -> None:
        """Create a series that is not wanted, unless there is one."""
        params = {"symbol": symbol, "timeframe": timeframe, "spot_proxy": spot_proxy}
        with translated_errors(), self._connection.transaction():
            self._connection.execute(query("imports/name_instrument"), params)
            self._connection.execute(query("imports/keep_series"), params)

    def record(
        self,
        path: str,
        sha256: str,
        series_id: int,
        span: Interval | None,
        counts: Mapping[str, int],
        sources: Mapping[str, int],
        notes: Sequence[str],
    ) -> None:
        """Log one file; ``counts``: rows, inserted, revised, quarantined, missing."""
        params: dict[str, Any] = {
            **counts,
            "path": path,
            "sha256": sha256,
            "series_id": series_id,
            "start": None if span is None else utc(span.start),
            "end": None if span is None else utc(span.end),
            "sources": Jsonb(dict(sources)),
            "notes": list(notes),
        }
        with translated_errors():
            self._connection.execute(query("imports/insert_imported_file"), params)

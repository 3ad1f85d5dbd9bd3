"""The ledger of exported files: each segment registered once, claimed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from backfill.domain.intervals import Interval
from backfill.domain.segments import DELETED, DOWNLOADED, PROCESSED, PROCESSING
from backfill.domain.timeframes import utc
from backfill.errors import DecisionRefused, SeriesBusy
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.locks import holding
from backfill.storage.multiranges import to_intervals
from backfill.storage.named_queries import query
from backfill.storage.series import SeriesWindow

# Advisory lock: "bfsg" in ASCII, then the series id.
EXPORT_LOCK = 0x6266_7367
# Postgres notices a killed export a moment after its death.
PATIENCE_S = 1.0


@dataclass(frozen=True)
class Exportable:
    """What of a series may be exported: ``doubtful`` silence is part of ``gaps``."""

    held: list[Interval]
    gaps: list[Interval]
    doubtful: list[Interval]
    questioned: list[Interval]


@dataclass(frozen=True)
class Registered:
    """The newest revision of a span."""

    id: int
    start_ms: int
    end_ms: int
    path: str
    sha256: str
    content_sha256: str
    rows: int
    revision: int
    status: str
    is_revised: bool


class SegmentLedger:
    """``segments`` and ``watermarks`` over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def exporting(self, window: SeriesWindow) -> Iterator[None]:
        """Export a series alone. Raises :class:`SeriesBusy` after :data:`PATIENCE_S`."""

        def busy(waited_s: float, holder: str) -> SeriesBusy:
            return SeriesBusy(window.symbol, window.timeframe, waited_s, holder)

        what = f"the export of {window.symbol} {window.timeframe}"
        with holding(self._connection, EXPORT_LOCK, window.series_id, what, PATIENCE_S, busy):
            yield

    def exportable(self, series_id: int, window: Interval, at: datetime) -> Exportable:
        """What the ledger says of ``window``."""
        params = {"series_id": series_id, "start_ms": window.start, "end_ms": window.end, "at": at}
        with translated_errors():
            row = fetch_one(self._connection, query("segments/select_exportable"), params)
        return Exportable(*(to_intervals(bars) for bars in row))

    def latest(self, series_id: int) -> list[Registered]:
        """The newest revision of every registered span, oldest first."""
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("segments/select_latest"), {"series_id": series_id}).fetchall()
        return [Registered(**row) for row in rows]

    def register(
        self,
        series_id: int,
        span: Interval,
        *,
        path: str,
        sha256: str,
        content_sha256: str,
        rows: int,
        supersedes: Registered | None,
        at: datetime,
    ) -> str | None:
        """Register a file that is in its place, and move the watermark.

        Returns the path of a superseded, unclaimed file, to be removed.
        """
        params = {
            "series_id": series_id,
            "start": utc(span.start),
            "end": utc(span.end),
            "path": path,
            "sha256": sha256,
            "content_sha256": content_sha256,
            "rows": rows,
            "revision": supersedes.revision + 1 if supersedes else 1,
            "supersedes": supersedes.id if supersedes else None,
            "at": at,
        }
        with translated_errors(), self._connection.transaction():
            withdrawn = None
            if supersedes is not None:
                withdraw = query("segments/withdraw_superseded")
                withdrawn = self._connection.execute(withdraw, {"id": supersedes.id}).fetchone()
            self._connection.execute(query("segments/insert_segment"), params)
            self._connection.execute(query("segments/move_watermark"), params)
        return withdrawn[0] if withdrawn else None

    def find(
        self,
        *,
        symbols: Sequence[str] | None = None,
        timeframes: Sequence[str] | None = None,
        status: str | None = None,
        ids: Sequence[int] | None = None,
        max_rows: int | None = None,
    ) -> list[dict[str, Any]]:
        """Registered segments, newest span first; None matches all."""
        params = {
            "symbols": None if symbols is None else list(symbols),
            "timeframes": None if timeframes is None else list(timeframes),
            "status": status,
            "ids": None if ids is None else list(ids),
            "max_rows": max_rows,
        }
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query("segments/select_segments"), params).fetchall()

    def claim(
        self,
        consumer: str,
        *,
        symbols: Sequence[str] | None = None,
        timeframes: Sequence[str] | None = None,
        max_rows: int = 1,
    ) -> list[dict[str, Any]]:
        """Take up to ``max_rows`` segments for ``consumer`` alone, oldest first."""
        params = {
            "consumer": consumer,
            "symbols": None if symbols is None else list(symbols),
            "timeframes": None if timeframes is None else list(timeframes),
            "max_rows": max_rows,
        }
        with translated_errors():
            rows = self._connection.execute(query("segments/claim_segments"), params).fetchall()
        return self.find(ids=[row[0] for row in rows])[::-1] if rows else []

    def step(self, ids: Sequence[int], status: str, consumer: str | None = None) -> list[str]:
        """Set all of ``ids`` to ``status``, or none; return their paths.

        ``consumer``: must have claimed them. Raises :class:`DecisionRefused`.
        """
        allowed = {PROCESSED: (PROCESSING,), DOWNLOADED: (PROCESSING,), DELETED: (PROCESSING, PROCESSED)}[status]
        with (
            translated_errors(),
            self._connection.transaction(),
            self._connection.cursor(row_factory=dict_row) as cursor,
        ):
            rows = cursor.execute(query("segments/lock_segments"), {"ids": list(ids)}).fetchall()
            problems = [f"segment {number}: there is none" for number in sorted({*ids} - {row["id"] for row in rows})]
            problems += [f"segment {row['id']} is {row['status']}" for row in rows if row["status"] not in allowed]
            problems += [
                f"segment {row['id']} is claimed by {row['consumer']}, not by {consumer}"
                for row in rows
                if consumer is not None and row["status"] == PROCESSING and row["consumer"] != consumer
            ]
            if problems:
                raise DecisionRefused(f"make them {status}", problems)
            cursor.execute(query("segments/set_status"), {"ids": list(ids), "status": status})
        return [row["path"] for row in rows]

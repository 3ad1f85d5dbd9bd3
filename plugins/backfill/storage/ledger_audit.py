"""Queries and repairs of the audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import dict_row

from backfill.domain.intervals import Interval
from backfill.errors import DatabaseError
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.multiranges import to_intervals, to_multirange
from backfill.storage.named_queries import query

Row = dict[str, Any]


class AuditedSeries(NamedTuple):
    """A series and the bars (ms) of its primary source, ``primary_id`` (None: not named)."""

    series_id: int
    instrument_id: int
    symbol: str
    timeframe: str
    primary_id: int | None
    native: list[Interval]


class LedgerAudit:
    """One snapshot per statement. The named queries describe the rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def repair(self, lock_timeout: str) -> Iterator[None]:
        """A transaction that gives up a lock after ``lock_timeout``."""
        with translated_errors(), self._connection.transaction():
            self._connection.execute("SELECT set_config('lock_timeout', %s, true)", (lock_timeout,))
            yield

    def series(self, symbols: Sequence[str] | None) -> list[AuditedSeries]:
        """The series of ``symbols``; None: all."""
        rows = self._rows("audit/select_series_to_audit", symbols=None if symbols is None else list(symbols))
        return [AuditedSeries(**{**row, "native": to_intervals(row["native"])}) for row in rows]

    def open_findings(self, ids: Sequence[int]) -> set[int]:
        """Those of ``ids`` that are still open."""
        return {row["id"] for row in self._rows("audit/select_open", ids=list(ids))}

    def settle(self, kinds: Sequence[str], began: datetime, series_ids: Sequence[int] | None) -> None:
        """Settle open findings of ``kinds`` not seen since ``began``."""
        self._run("audit/settle", kinds=list(kinds), began=began, series_ids=series_ids)

    def settle_timeframes(
        self,
        kinds: Sequence[str],
        series_id: int,
        source_id: int | None,
        looked_at: Sequence[Interval],
        began: datetime,
    ) -> None:
        """The same for one series, within ``looked_at``."""
        self._run(
            "audit/settle_timeframes",
            kinds=list(kinds),
            series_id=series_id,
            source_id=source_id,
            looked_at=to_multirange(looked_at),
            began=began,
        )

    def tables(self) -> list[Row]:
        """Tables of candles; ``kind``: partition, default or detached."""
        return self._rows("audit/select_partitions")

    def months_of_windows(self, at: datetime) -> list[Interval]:
        """The months that the series' windows need."""
        rows = self._rows("audit/select_months_of_windows", at=at)
        return [Interval(row["first_ms"], row["past_ms"]) for row in rows]

    def months_of_default(self) -> list[Row]:
        """Months with rows in the default partition."""
        return self._rows("audit/select_months_of_default")

    def make_month(self, month: Interval) -> None:
        """Create a month's partition and move its rows there. Raises :class:`DatabaseError`."""
        params = {"first_ms": month.start, "past_ms": month.end}
        with translated_errors():
            made = fetch_one(self._connection, query("audit/make_months"), params)[0]
        if not made:
            raise DatabaseError("the month has a table that is not attached: attach it, or drop it")

    def watch(self, table: Row) -> None:
        """Recreate the ledger's triggers on a partition."""
        drop = _over("audit/drop_triggers", table["name"])
        with translated_errors():
            self._connection.execute(drop)
            self._connection.execute(query("audit/watch_candles"), table)

    def count_detached(self, table: Row) -> tuple[int, int]:
        """A detached table's rows, and how many ``candles`` has too."""
        with translated_errors():
            rows, twice = fetch_one(self._connection, _over("audit/count_detached", table["name"]))
        return int(rows), int(twice)

    def broken_candles(self, span: Interval, series_ids: Sequence[int] | None, **how: Any) -> list[Row]:
        """Candles that break a structural rule; ``repair`` moves them to quarantine."""
        return self._rows(
            "audit/select_broken_candles", first_ms=span.start, past_ms=span.end, series_ids=series_ids, **how
        )

    def keep_ledger(self) -> None:
        """Turn triggers off in this transaction, which recounts itself."""
        self._run("audit/keep_ledger")

    def ledger_drift(self, span: Interval, series_ids: Sequence[int] | None, most_named: int) -> list[Row]:
        """Where ledger and candles differ in a span."""
        return self._rows(
            "audit/select_ledger_drift",
            first_ms=span.start,
            past_ms=span.end,
            series_ids=series_ids,
            most_told=most_named,
        )

    def recount(self, series_id: int, span: Interval) -> None:
        """Correct a span's ledger, in a transaction, beside other writers."""
        params = {"series_id": series_id, "first_ms": span.start, "past_ms": span.end}
        self._run("ledger/lock_ledger", **params)
        self._run("audit/recount", **params)

    def count_drift(self, at: datetime, series_ids: Sequence[int] | None) -> list[Row]:
        """Where ``sync_status`` miscounts the stored candles."""
        return self._rows("audit/select_count_drift", at=at, series_ids=series_ids)

    def sources_drift(self, series_ids: Sequence[int] | None) -> list[Row]:
        """Candles of sources that their series lacks."""
        return self._rows("audit/select_sources_drift", series_ids=series_ids)

    def orphans(self) -> list[Row]:
        """Rows of series that do not exist."""
        return self._rows("audit/select_orphans")

    def drop_orphaned_absences(self, series_id: int) -> None:
        """Delete a missing series' absences."""
        self._run("audit/drop_orphaned_absences", series_id=series_id)

    def settle_orphaned_findings(self, series_id: int) -> None:
        """Settle a missing series' findings."""
        self._run("audit/settle_orphaned_findings", series_id=series_id)

    def _rows(self, name: str, **params: Any) -> list[Row]:
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query(name), params).fetchall()

    def _run(self, name: str, **params: Any) -> None:
        with translated_errors():
            self._connection.execute(query(name), params)


def _over(name: str, table: str) -> sql.Composed:
    return sql.SQL(query(name)).format(table=sql.Identifier("backfill", table))

"""One audit under way: what it looks at, the spans it goes through, and how it mends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from backfill.domain.intervals import Interval, difference
from backfill.errors import DatabaseError, DatabaseUnreachable
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.findings import Finding
from backfill.storage.multiranges import to_intervals
from backfill.storage.named_queries import query

# All the times that Postgres has, to the day, in ms: strangers write seconds for milliseconds, and the other way round.
ALL_TIME = Interval(-210_866_803_200_000, 9_224_318_015_000_000)
# The times that Python and a person's calendar have.
CALENDAR = Interval(-62_135_596_800_000, 253_402_300_799_000)
# Of intervals and open times a finding names so many.
MOST_TOLD = 5
# A repair that has to wait longer for fills and readers is left to the next audit.
LOCK_TIMEOUT = "10s"

Row = dict[str, Any]


class AuditedSeries(NamedTuple):
    """A series, and what of it its home has given (ms); ``home_id`` None: nobody may supply it."""

    series_id: int
    instrument_id: int
    symbol: str
    timeframe: str
    home_id: int | None
    native: list[Interval]


@dataclass(frozen=True)
class Scope:
    """``symbols`` None: everything, and then also what belongs to no series. ``at``: what is called the future."""

    store: CandleStore
    at: datetime
    repair: bool
    symbols: Sequence[str] | None = None

    @property
    def is_whole(self) -> bool:
        return self.symbols is None

    @cached_property
    def series(self) -> dict[int, AuditedSeries]:
        """The series by number, as they were when the audit began."""
        return self.read_series()

    def read_series(self) -> dict[int, AuditedSeries]:
        """The series by number, as they are now."""
        params = {"symbols": None if self.symbols is None else list(self.symbols)}
        rows = self.rows("audit/select_series_to_audit", **params)
        return {row["series_id"]: AuditedSeries(**{**row, "native": to_intervals(row["native"])}) for row in rows}

    @property
    def series_ids(self) -> list[int] | None:
        return None if self.is_whole else list(self.series)

    def rows(self, name: str, **params: Any) -> list[Row]:
        """The rows of a query, each statement with a snapshot of its own."""
        with translated_errors(), self.store.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query(name), params).fetchall()

    def run(self, name: str, **params: Any) -> None:
        """A query that gives no rows."""
        with translated_errors():
            self.store.connection.execute(query(name), params)

    def spans(self) -> list[Interval]:
        """All time, cut where the partitions of the candles are, so that no statement has more than one to hold."""
        partitions = [
            Interval(row["first_ms"], row["past_ms"])
            for row in self.rows("audit/select_partitions")
            if row["kind"] == "partition" and row["first_ms"] is not None
        ]
        return sorted([*partitions, *difference([ALL_TIME], partitions)])

    def attempt(self, repair: Callable[[], object]) -> str | None:
        """Try a repair in a transaction of its own; why it could not be done, or None."""
        try:
            with translated_errors(), self.store.connection.transaction():
                self.store.connection.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
                repair()
        except DatabaseUnreachable:
            raise
        except DatabaseError as error:
            return str(error)
        return None

    def mended(self, finding: Finding, repair: Callable[[], object]) -> Finding:
        """The finding as it is once ``repair`` was tried; as it was when none is wanted."""
        return after_repair(finding, self.attempt(repair)) if self.repair else finding


def after_repair(finding: Finding, not_mended: str | None) -> Finding:
    """Settled by a repair, or open with the reason why it could not be."""
    if not_mended is None:
        return replace(finding, status="settled", detail={**finding.detail, "mended": True})
    return replace(finding, detail={**finding.detail, "not_mended": not_mended})


def calendar_ms(ms: int) -> int:
    """The nearest time that a finding can have."""
    return max(CALENDAR.start, min(ms, CALENDAR.end))


def some(bars: int, what: str = "candle") -> str:
    """A number with its noun."""
    return f"{bars:,} {what}" + ("" if bars == 1 else "s")

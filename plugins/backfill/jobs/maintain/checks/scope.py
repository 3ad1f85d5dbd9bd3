"""One audit under way: what it looks at, the spans it goes through, and how it mends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from backfill.domain.intervals import Interval, difference
from backfill.errors import DatabaseError, DatabaseUnreachable
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding
from backfill.storage.ledger_audit import AuditedSeries, LedgerAudit

# All the times that Postgres has, to the day, in ms: strangers write seconds for milliseconds, and the other way round.
ALL_TIME = Interval(-210_866_803_200_000, 9_224_318_015_000_000)
# The times that Python and a person's calendar have.
CALENDAR = Interval(-62_135_596_800_000, 253_402_300_799_000)
# Of intervals and open times a finding names so many.
MOST_TOLD = 5
# A repair that has to wait longer for fills and readers is left to the next audit.
LOCK_TIMEOUT = "10s"


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
        return {one.series_id: one for one in self.audit.series(self.symbols)}

    @property
    def audit(self) -> LedgerAudit:
        return self.store.ledger_audit

    @property
    def series_ids(self) -> list[int] | None:
        return None if self.is_whole else list(self.series)

    def spans(self) -> list[Interval]:
        """All time, cut where the partitions of the candles are, so that no statement has more than one to hold."""
        partitions = [
            Interval(row["first_ms"], row["past_ms"])
            for row in self.audit.tables()
            if row["kind"] == "partition" and row["first_ms"] is not None
        ]
        return sorted([*partitions, *difference([ALL_TIME], partitions)])

    def attempt(self, repair: Callable[[], object]) -> str | None:
        """Try a repair in a transaction of its own; why it could not be done, or None."""
        try:
            with self.audit.repair(LOCK_TIMEOUT):
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

"""One audit: its series, time spans and repairs."""

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

# All times of Postgres in ms, since foreign writers confuse s and ms.
ALL_TIME = Interval(-210_866_803_200_000, 9_224_318_015_000_000)
# Python's datetime range.
CALENDAR = Interval(-62_135_596_800_000, 253_402_300_799_000)
# Intervals and open times per finding.
MOST_TOLD = 5
# Repairs that wait longer are left to the next audit.
LOCK_TIMEOUT = "10s"


@dataclass(frozen=True)
class Scope:
    """``symbols`` None: everything, even without series. ``at``: later is the future."""

    store: CandleStore
    at: datetime
    repair: bool
    symbols: Sequence[str] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything is audited."""
        return self.symbols is None

    @cached_property
    def series(self) -> dict[int, AuditedSeries]:
        """Series by id, as of the audit's start."""
        return self.read_series()

    def read_series(self) -> dict[int, AuditedSeries]:
        """Series by id, as of now."""
        return {one.series_id: one for one in self.audit.series(self.symbols)}

    @property
    def audit(self) -> LedgerAudit:
        """The audit's database queries and repairs."""
        return self.store.ledger_audit

    @property
    def series_ids(self) -> list[int] | None:
        """Ids of the audited series; None: all."""
        return None if self.is_whole else list(self.series)

    def spans(self) -> list[Interval]:
        """All time, split at partition bounds: a statement touches one partition."""
        partitions = [
            Interval(row["first_ms"], row["past_ms"])
            for row in self.audit.tables()
            if row["kind"] == "partition" and row["first_ms"] is not None
        ]
        return sorted([*partitions, *difference([ALL_TIME], partitions)])

    def attempt(self, repair: Callable[[], object]) -> str | None:
        """Try a repair in its own transaction; return why it failed."""
        try:
            with self.audit.repair(LOCK_TIMEOUT):
                repair()
        except DatabaseUnreachable:
            raise
        except DatabaseError as error:
            return str(error)
        return None

    def mended(self, finding: Finding, repair: Callable[[], object]) -> Finding:
        """The finding after ``repair``, if repairs are on."""
        return after_repair(finding, self.attempt(repair)) if self.repair else finding


def after_repair(finding: Finding, not_mended: str | None) -> Finding:
    """The finding, settled if repaired, else with the reason."""
    if not_mended is None:
        return replace(finding, status="settled", detail={**finding.detail, "mended": True})
    return replace(finding, detail={**finding.detail, "not_mended": not_mended})


def calendar_ms(ms: int) -> int:
    """``ms`` clamped to what a finding can store."""
    return max(CALENDAR.start, min(ms, CALENDAR.end))


def some(bars: int, what: str = "candle") -> str:
    """A count with its noun."""
    return f"{bars:,} {what}" + ("" if bars == 1 else "s")

"""How the tests of the audit tamper with a database, and read what the audit says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backfill.domain.timeframes import utc
from backfill.jobs.maintain.audit import AuditReport, audit
from backfill.storage.candle_store import CandleStore
from integration.helpers import NOW_MS, rows

AT = utc(NOW_MS)


@contextmanager
def silenced(store: CandleStore) -> Iterator[None]:
    """Within: a session that says it keeps the ledger itself, and does not."""
    store.connection.execute("SET backfill.ledger = 'writer'")
    yield
    store.connection.execute("RESET backfill.ledger")


def kinds(report: AuditReport) -> list[tuple[str, str]]:
    """Kind and status of all findings."""
    return [(row["kind"], row["status"]) for row in report.findings]


def assert_mended(store: CandleStore, **options: Any) -> AuditReport:
    """A repair mends all that it finds, and a second one finds nothing."""
    report = audit(store, at=AT, repair=True, **options)
    assert report.remaining == 0, report.lines
    assert report.mended > 0
    assert audit(store, at=AT, repair=True, **options).findings == []
    assert rows(store.connection, "SELECT kind FROM findings WHERE status = 'open'") == []
    return report

"""Rows of a nonexistent series, or from a source that the series does not list.

Series are never deleted or renumbered, so an orphan means a manual deletion or an invented id. Candles, revisions and
quarantined rows stay, to restore the series. Absences can be fetched again and are dropped; open findings are settled.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from backfill.jobs.maintain.checks.scope import Scope, some
from backfill.storage.findings import Finding
from backfill.storage.ledger_audit import LedgerAudit, Row

KINDS = ("orphan", "foreign_source")
# Restorable or obsolete rows, by table.
REPAIRS = {"absences": LedgerAudit.drop_orphaned_absences, "findings": LedgerAudit.settle_orphaned_findings}


def strays(scope: Scope) -> Iterator[Finding]:
    """Orphans by table and series; candles by unlisted source."""
    for row in scope.audit.sources_drift(scope.series_ids):
        if row["is_orphan"]:
            yield _orphan({"of_table": "candles", "series_id": row["series_id"], "rows": row["bars"]}, row["source_id"])
        else:
            yield _foreign(row)
    if scope.is_whole:
        for row in scope.audit.orphans():
            finding = _orphan(row)
            repair = REPAIRS.get(row["of_table"])
            yield scope.mended(finding, partial(repair, scope.audit, row["series_id"])) if repair else finding


def _orphan(row: Row, source_id: int | None = None) -> Finding:
    table, series_id, rows = row["of_table"], row["series_id"], row["rows"]
    return Finding(
        "orphan",
        "orphan",
        source_id=source_id,
        field=f"{table} of series {series_id}",
        detail={
            "table": table,
            "series_id": series_id,
            "rows": rows,
            "says": f"{some(rows, 'row')} of {table} name series {series_id}, which does not exist",
        },
    )


def _foreign(row: Row) -> Finding:
    """A nonexistent source hides its candles from `ohlcv`; a removed one is only reported."""
    nameless = row["source"] is None
    named = f"source {row['source_id']}, which does not exist" if nameless else row["source"]
    says = f"{some(row['bars'])} from {named}" + (
        "" if nameless else ", which is not among the series' sources any more"
    )
    return Finding(
        "foreign_source",
        "nameless" if nameless else "not_listed",
        row["series_id"],
        row["source_id"],
        detail={"bars": row["bars"], "says": says},
        status="open" if nameless else "settled",
    )

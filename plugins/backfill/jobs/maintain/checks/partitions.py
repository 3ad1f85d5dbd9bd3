"""Candle tables: missing months, rows in the wrong table, missing ledger triggers.

Only reported are detached months (maybe on purpose) and partitions with wrong bounds or names, beside which no month
can be created.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from backfill.domain.intervals import Interval, intersection, union
from backfill.domain.timeframes import utc
from backfill.jobs.maintain.checks.scope import Scope, after_repair, some
from backfill.storage.findings import Finding
from backfill.storage.ledger_audit import Row

KINDS = ("partition",)


def partitions(scope: Scope) -> Iterator[Finding]:
    """One finding per table and problem."""
    tables = scope.audit.tables()
    for table in tables:
        if table["kind"] == "detached":
            yield _detached(scope, table)
            continue
        if table["missing_triggers"]:
            yield _unwatched(scope, table)
        if table["kind"] == "partition" and not table["is_month"]:
            yield _finding(
                "bounds", table["name"], "its bounds are not one whole month of UTC: make it one, or detach it"
            )
        elif table["kind"] == "partition" and table["name"] != table["proper_name"]:
            yield _finding("name", table["name"], f"it is not called {table['proper_name']}: rename it")
    if not any(table["kind"] == "default" for table in tables):
        yield _finding(
            "missing", "candles_default", "rows of months without a partition are refused: make a default one"
        )
    yield from _waiting_rows(scope)


def months(scope: Scope) -> Iterator[Finding]:
    """Missing months that series need, by the repaired ledger."""
    there = [
        Interval(table["first_ms"], table["past_ms"])
        for table in scope.audit.tables()
        if table["kind"] == "partition" and table["first_ms"] is not None
    ]
    needed = scope.audit.months_of_windows(scope.at)
    missing = [month for month in needed if not intersection([month], there)]
    for run in union(missing):
        of_run = [month for month in missing if run.start <= month.start < run.end]
        says = f"series need {some(len(of_run), 'month')} from {utc(run.start):%Y-%m} on that have no partition"
        finding = _finding("missing", "candles", says, run)
        if scope.repair:
            reasons = [scope.attempt(partial(scope.audit.make_month, month)) for month in of_run]
            finding = after_repair(finding, next(filter(None, reasons), None))
        yield finding


def _waiting_rows(scope: Scope) -> Iterator[Finding]:
    for row in scope.audit.months_of_default():
        month = Interval(row["first_ms"], row["past_ms"])
        says = f"{some(row['bars'])} of {row['month']} in candles_default: the month has no partition of its own"
        finding = _finding("misplaced", f"candles_default {row['month']}", says)
        yield scope.mended(finding, partial(scope.audit.make_month, month))


def _unwatched(scope: Scope, table: Row) -> Finding:
    missing = ", ".join(table["missing_triggers"])
    says = f"the ledger does not hear of what is written straight into it: it lacks the triggers {missing}"
    return scope.mended(_finding("unwatched", table["name"], says), partial(scope.audit.watch, table))


def _detached(scope: Scope, table: Row) -> Finding:
    rows, twice = scope.audit.count_detached(table)
    says = f"it is not a partition of candles: {some(rows, 'row')} out of sight, {twice:,} of them in candles too; "
    return _finding("detached", table["name"], says + "attach it, or drop it")


def _finding(verdict: str, table: str, says: str, month: Interval | None = None) -> Finding:
    return Finding(
        "partition",
        verdict,
        start_ms=month.start if month else None,
        end_ms=month.end if month else None,
        field=f"{table} {verdict}",
        detail={"table": table, "says": f"{table}: {says}"},
    )

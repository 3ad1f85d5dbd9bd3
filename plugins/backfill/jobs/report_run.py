"""What one Dag run has done, from its rows in the run log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row

from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.named_queries import query

COUNTS = (
    "requests",
    "rows_inserted",
    "rows_revised",
    "rows_quarantined",
    "absent_found",
    "missing_before",
    "missing_after",
)
MOST_FAILURES_TOLD = 10


@dataclass(frozen=True)
class RunSummary:
    """``totals``: the summed counts, ``series`` and ``sources``; ``failures``: one sentence each."""

    totals: dict[str, Any]
    lines: list[str]
    failures: list[str]


def report_run(store: CandleStore, dag_id: str, run_id: str, symbols: Sequence[str]) -> RunSummary:
    """Sum up the last attempt on each series; every one of ``symbols`` must have an attempt that did not fail."""
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("select_run_summary"), {"dag_id": dag_id, "run_id": run_id}).fetchall()
    worst_first = sorted(rows, key=lambda row: (-(row["missing_after"] or 0), row["symbol"], row["timeframe"]))
    sources: Counter[str] = Counter()
    for row in rows:
        sources.update(row["sources"])
    totals: dict[str, Any] = {name: sum(row[name] or 0 for row in rows) for name in COUNTS}
    totals |= {"series": len(rows), "sources": dict(sources)}
    failures = [
        f"{row['symbol']} {row['timeframe']} {row['status']}: {row['error'] or 'no reason given'}"
        for row in worst_first
        if row["status"] in ("failed", "abandoned", "running")
    ]
    failures += [
        f"{symbol}: no attempt was logged" for symbol in sorted(set(symbols) - {row["symbol"] for row in rows})
    ]
    if len(failures) > MOST_FAILURES_TOLD:
        failures[MOST_FAILURES_TOLD:] = [f"and {len(failures) - MOST_FAILURES_TOLD} more"]
    return RunSummary(totals, [_line(row) for row in worst_first] + [f"in all: {totals}"], failures)


def _line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['symbol']} {row['timeframe']} {row['status']}: {row['rows_inserted']} inserted from {row['sources']}, "
        f"{row['missing_after']} of {row['missing_before']} still missing, {row['requests']} requests"
        + (f"; {row['error']}" if row["error"] else "")
    )

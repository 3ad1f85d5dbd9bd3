"""``backfill audit``."""

from __future__ import annotations

import argparse

from backfill.cli.output import Output
from backfill.config.connections import database_uri
from backfill.jobs.maintain.audit import AuditReport, audit
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.migrations import require_current_schema

COMPLETE, FINDINGS_REMAIN = 0, 3
COLUMNS = ("symbol", "timeframe", "kind", "verdict", "state", "start_time", "end_time", "says")


def run_audit(args: argparse.Namespace, output: Output) -> int:
    """Recompute what is stored about the candles; exit code 3 while a finding is open."""
    with connect(database_uri(args.db)) as connection:
        require_current_schema(connection)
        report = audit(CandleStore(connection), repair=args.repair, symbols=args.symbols)
    if output.as_json:
        output.document({"findings": report.findings, "seconds": report.seconds, **report.totals()})
    else:
        _show(report, output)
    return FINDINGS_REMAIN if report.remaining else COMPLETE


def _show(report: AuditReport, output: Output) -> None:
    if report.findings:
        rows = [{**row, "state": "mended" if row["mended"] else row["status"]} for row in report.findings]
        output.table(f"{len(rows)} findings", rows, COLUMNS)
    for row in report.findings:
        if "not_mended" in row["detail"]:
            output.error(f"{row['says']}: not mended: {row['detail']['not_mended']}")
    seconds = sum(report.seconds.values())
    output.line(f"{report.mended:,} mended, {report.remaining:,} remain; it took {seconds:.1f} s")

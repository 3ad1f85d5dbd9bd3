"""``backfill import``."""

from __future__ import annotations

import argparse
from pathlib import Path

from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.jobs.files.import_files import ImportTerms, import_files
from backfill.sources.runtime import Runtime

DONE, FAILURE, INCOMPLETE = 0, 1, 3
COLUMNS = ("file", "symbol", "timeframe", "rows", "inserted", "revised", "missing", "quarantined")


def import_candles(args: argparse.Namespace, output: Output) -> int:
    """Read files into Postgres. Exit code 1: one was refused; 3: one has holes, broken rows or disagrees."""
    terms = ImportTerms(args.symbols, args.timeframes, args.source, args.spot, args.dry_run)
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        report = import_files(runtime.store, args.folder, runtime.settle_ms, terms)
    totals = report.totals()
    if output.as_json:
        output.document({**totals, "dry_run": args.dry_run, "refused_files": report.refused, "imported": report.files})
    else:
        files = [{**file, "file": Path(file["file"]).name} for file in report.files]
        if files:
            output.table(f"{len(files):,} files", files, COLUMNS)
        for file in files:
            for note in file["notes"]:
                output.line(f"{file['file']}: {note}")
        for line in report.refused:
            output.error(line)
        would_be = "would be " if args.dry_run else ""
        output.line(
            f"{totals['files']:,} files read, {totals['refused']:,} refused; of {totals['rows']:,} candles "
            f"{totals['inserted']:,} {would_be}inserted, {totals['revised']:,} revised, "
            f"{totals['disagree']:,} disagree with another source"
        )
    if report.refused:
        return FAILURE
    return INCOMPLETE if totals["missing"] or totals["quarantined"] or totals["disagree"] else DONE

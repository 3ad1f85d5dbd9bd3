"""``backfill prune``."""

from __future__ import annotations

import argparse

from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.jobs.maintain.prune_candles import prune_candles
from backfill.jobs.maintain.prune_run_log import prune_run_log
from backfill.sources.runtime import Runtime

DONE = 0
COLUMNS = ("symbol", "timeframe", "keeps_from", "candles")


def prune(args: argparse.Namespace, output: Output) -> int:
    """Remove candles and rows of the run log past retention. A remainder for the next run is no failure."""
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        report = prune_candles(runtime.store, settle_ms=runtime.settle_ms, dry_run=args.dry_run)
        log = prune_run_log(runtime.store, runtime.universe.log_retention, dry_run=args.dry_run)
    if output.as_json:
        output.document(
            {
                **report.totals(),
                "series": report.series,
                "dropped": report.dropped,
                "left": report.left,
                "run_log": log._asdict(),
            }
        )
        return DONE
    if report.series:
        output.table(f"{len(report.series)} series", report.series, COLUMNS)
    for line in report.left:
        output.note(line)
    would_be = "would be " if args.dry_run else ""
    partitions = f", {len(report.dropped)} months with their whole partition" if report.dropped else ""
    output.line(f"{report.totals()['candles']:,} candles {would_be}removed{partitions}")
    for line in log.lines:
        output.line(f"{line} {would_be}removed")
    return DONE

"""``backfill validate``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from backfill.cli.output import Output
from backfill.cli.stop_signals import ending_in_order, leave
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.config.source_names import check_sources
from backfill.domain.timeframes import timeframe
from backfill.jobs.fill.fill_universe import select_wanted
from backfill.jobs.validate.validate_series import ValidationReport
from backfill.jobs.validate.validate_universe import declared_validation, validate_universe
from backfill.jobs.validate.validation_document import validation_document
from backfill.sources.runtime import Runtime
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import SeriesWindow

ALL_WELL, FAILURE, PROBLEMS_REMAIN = 0, 1, 3
# Counts in bars, a column each. `disagree` counts the open ones.
COUNTS = ("agreed", "disagree", "silent", "unverified", "no_trade_proved", "lost_proved", "reread", "rows_restored")
COLUMNS = ("symbol", "timeframe", "coverage_pct", "missing", *COUNTS, "resolves", "findings", "quarantined", "requests")


def validate(args: argparse.Namespace, output: Output) -> int:
    """Check what is stored, repair it from the primary source; exit code 3 while problems remain."""
    check_sources("--sources", args.sources)
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        which = select_wanted(runtime, symbols=args.symbols, timeframes=args.timeframes, start=args.start, end=args.end)
        windows = runtime.store.windows(which)
        runtime.store.run_log.abandon_dead_runs()
        with ending_in_order(runtime.stop):
            reports = _validate_all(runtime, windows, args, output)
        if output.as_json:
            validation, at = declared_validation(runtime), runtime.store.now()
            output.document(validation_document(runtime.store, which, windows, reports, validation, at=at))
    problems = sum(len(report.problems) for report in reports)
    if not output.as_json:
        _show(reports, output)
    if runtime.stop.reason:
        output.error(f"interrupted ({runtime.stop.reason}); what was checked stays checked, run it again to go on")
        return leave(FAILURE)
    return PROBLEMS_REMAIN if problems else ALL_WELL


def _validate_all(
    runtime: Runtime, windows: Sequence[SeriesWindow], args: argparse.Namespace, output: Output
) -> list[ValidationReport]:
    who = RunIdentity("backfill", f"cli__{datetime.now(timezone.utc).isoformat()}", "validate")
    reports: list[ValidationReport] = []
    with output.progress(len(windows), "series") as progress:
        for report in validate_universe(
            runtime,
            windows,
            who,
            declared_validation(runtime),
            at=runtime.store.now(),
            only=args.sources,
            thorough=args.thorough,
        ):
            reports.append(report)
            if progress is None:
                output.note(str(report))
            else:
                progress.update(progress.task_ids[0], advance=1, last=f"{report.symbol} {report.timeframe}")
    return sorted(reports, key=lambda report: (report.symbol, timeframe(report.timeframe).step_ms))


def _show(reports: Sequence[ValidationReport], output: Output) -> None:
    output.table(f"{len(reports)} series", [_row(report) for report in reports], COLUMNS)
    for report in reports:
        for problem in report.problems:
            output.error(f"{report.symbol} {report.timeframe}: {problem}")
    bad = sum(bool(report.problems) for report in reports)
    unverified = sum(report.counts.get("unverified", 0) for report in reports)
    output.line(
        (f"{bad:,} of {len(reports):,} series have problems" if bad else "all is well")
        + (f"; no other source could be asked about {unverified:,} bars" if unverified else "")
    )


def _row(report: ValidationReport) -> dict[str, Any]:
    counted = {name: report.counts.get(name, 0) for name in COUNTS}
    resolves = ", ".join(report.resolved)
    return {**report.as_dict(), **counted, "resolves": resolves, "findings": sum(report.open_findings.values())}

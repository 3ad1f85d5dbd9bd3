"""``backfill export`` and ``backfill segments``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from backfill.cli.lists import check_symbols, show_newest
from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.errors import ConfigurationError
from backfill.jobs.files.claims import SegmentClaims, remove_files
from backfill.jobs.files.export_segments import ExportReport, ExportTerms, export_segments
from backfill.jobs.files.folder import LocalFolder, SegmentFolder, is_url
from backfill.jobs.files.verify_segments import verify_segments
from backfill.sources.runtime import Runtime
from backfill.storage.series import Selection

DONE, FAILURE, LEFT = 0, 1, 3
MAX_LINES = 20
WRITTEN = ("symbol", "timeframe", "start_time", "end_time", "revision", "rows")
LISTED = ("id", "symbol", "timeframe", "start_time", "end_time", "revision", "rows", "status", "consumer")


def export(args: argparse.Namespace, output: Output) -> int:
    """Write whole spans into a folder; exit code 3 if some are left out."""
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        check_symbols(runtime.store, args.symbols)
        selection = Selection(
            runtime.store.now(), runtime.settle_ms, args.symbols, args.timeframes, _ms(args.start), _ms(args.end)
        )
        terms = ExportTerms(args.format, args.period, args.doubtful, args.recheck, args.dry_run)
        report = export_segments(runtime.store, folder_at(args.folder), selection, terms)
    if output.as_json:
        document = {"written": report.written, "left_out": report.left, "notes": report.notes}
        output.document({**report.totals(), "dry_run": args.dry_run, **document})
    else:
        _show(report, args, output)
    return LEFT if report.left else DONE


def segments(args: argparse.Namespace, output: Output) -> int:
    """List, claim, finish, release or verify registered segments."""
    actions = {"list": _list, "claim": _claim, "done": _finish, "release": _release, "verify": _verify}
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        return actions[args.action](SegmentClaims(runtime.store), args, output)


def folder_at(where: str) -> SegmentFolder:
    """A local folder, or Airflow's object storage at this URL."""
    if not is_url(where):
        return LocalFolder(Path(where))
    try:
        from backfill.hooks.object_folder import object_folder
    except ImportError as error:
        raise ConfigurationError(f"{where}: object storage needs Airflow: install the extra `airflow`") from error
    return object_folder(where)


def _show(report: ExportReport, args: argparse.Namespace, output: Output) -> None:
    if report.written:
        output.table(f"{len(report.written):,} segments", report.written[-MAX_LINES:], WRITTEN)
    for line in [*report.left[:MAX_LINES], *report.notes[:MAX_LINES]]:
        output.note(line)
    totals = report.totals()
    would_be = "would be " if args.dry_run else ""
    output.line(
        f"{totals['segments']:,} segments of {totals['rows']:,} candles {would_be}written to {args.folder}, "
        f"{totals['unchanged']:,} registered before, {totals['left']:,} left out"
    )


def _list(claims: SegmentClaims, args: argparse.Namespace, output: Output) -> int:
    check_symbols(claims.store, args.symbols)
    status = None if args.status == "all" else args.status
    rows = claims.ledger.find(symbols=args.symbols, timeframes=args.timeframes, status=status, max_rows=args.limit + 1)
    show_newest(output, "segments", _readable(rows, output), LISTED, args.limit)
    return DONE


def _claim(claims: SegmentClaims, args: argparse.Namespace, output: Output) -> int:
    check_symbols(claims.store, args.symbols)
    rows = claims.claim(args.consumer, symbols=args.symbols, timeframes=args.timeframes, max_segments=args.limit)
    if output.as_json:
        output.document({"segments": rows})
    for row in [] if output.as_json else rows:
        output.line(f"{row['id']}\t{row['path']}")
    return DONE


def _finish(claims: SegmentClaims, args: argparse.Namespace, output: Output) -> int:
    paths = claims.finish(args.ids, consumer=args.consumer, delete=args.delete)
    if args.delete:
        remove_files(paths, folder_at)
    _say(output, "deleted" if args.delete else "processed", args.ids)
    return DONE


def _release(claims: SegmentClaims, args: argparse.Namespace, output: Output) -> int:
    claims.release(args.ids)
    _say(output, "released", args.ids)
    return DONE


def _verify(claims: SegmentClaims, args: argparse.Namespace, output: Output) -> int:
    report = verify_segments(claims.ledger, folder_at, symbols=args.symbols, timeframes=args.timeframes)
    if output.as_json:
        output.document({"verified": report.verified, "problems": report.problems})
    else:
        for problem in report.problems:
            output.line(f"{problem['path']}: {problem['problem']}")
        output.line(f"{report.verified:,} files are as registered, {len(report.problems):,} are not")
    return FAILURE if report.problems else DONE


def _say(output: Output, what: str, ids: list[int]) -> None:
    if output.as_json:
        output.document({what: ids})
    else:
        output.line(f"{len(ids):,} {what}")


def _readable(rows: list[dict[str, Any]], output: Output) -> list[dict[str, Any]]:
    return rows if output.as_json else [{**row, "id": str(row["id"])} for row in rows]


def _ms(at: Any) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)

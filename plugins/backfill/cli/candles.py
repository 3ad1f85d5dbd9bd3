"""``backfill migrate | status | gaps | fill``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from backfill.cli.many_rows import missing, show_rows, worst_series
from backfill.cli.output import Output
from backfill.cli.stop_signals import ending_in_order, leave
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.config.source_names import check_sources, is_source
from backfill.domain.timeframes import timeframe
from backfill.jobs.fill.fill_gaps import FillReport
from backfill.jobs.fill.fill_universe import fill_series, select_declared, select_wanted
from backfill.jobs.fill.plan_fill import FillPlan, plan_fill
from backfill.jobs.fill.progress import progress
from backfill.jobs.status.report_run import EXCUSED_MS
from backfill.sources.runtime import Runtime
from backfill.storage.database import connect
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.migrations import migrate as apply_migrations
from backfill.storage.migrations import waiting_migrations
from backfill.storage.series import Selection, SeriesWindow
from backfill.storage.series_status import gaps as gaps_of
from backfill.storage.series_status import leaving_reach, sync_status

COMPLETE, FAILURE, GAPS_REMAIN = 0, 1, 3
NOTHING_WANTED = (
    "Postgres wants no series yet: `backfill declare` writes those of the universe, and `backfill fill` too"
)

STATUS_COLUMNS = (
    "symbol", "timeframe", "status", "oldest_data", "newest_data", "total_candles", "coverage_pct",
    "doubtful_candles", "missing_candles", "absent_candles", "closed_candles", "bars_ready", "ready", "last_sync",
    "error_message",
)  # fmt: skip
SOURCE_COLUMNS = (
    "source", "state", "paused_until", "last_success_at", "answers_24h", "errors_24h", "rows_24h", "latency_ms",
    "last_error",
)  # fmt: skip
GAP_COLUMNS = ("symbol", "timeframe", "gap_start", "gap_end", "missing_candles", "reason")
PLAN_COLUMNS = ("symbol", "timeframe", "source", "gaps", "missing_candles", "requests_planned", "requests_at_most")
REPORT_COLUMNS = (
    "symbol", "timeframe", "status", "missing_before", "missing_after", "requests_planned", "requests",
    "rows_inserted", "rows_revised", "rows_quarantined", "absent_found", "coverage_after",
)  # fmt: skip


def migrate(args: argparse.Namespace, output: Output) -> int:
    """Bring the schema up to date; ``--check`` only shows what is missing, exit code 3 if anything is."""
    with connect(database_uri(args.db)) as connection:
        if args.check:
            return _show_waiting(waiting_migrations(connection), output)
        applied = apply_migrations(connection)
    if output.as_json:
        output.document({"applied": applied})
    else:
        output.line(f"applied {', '.join(applied)}" if applied else "the schema is up to date")
    return COMPLETE


def _show_waiting(waiting: list[str], output: Output) -> int:
    if output.as_json:
        output.document({"waiting": waiting})
    else:
        output.line(f"not applied yet: {', '.join(waiting)}" if waiting else "the schema is up to date")
    return GAPS_REMAIN if waiting else COMPLETE


def status(args: argparse.Namespace, output: Output) -> int:
    """Show the series' coverage and the sources' state; exit code 3 while candles are missing."""
    with _runtime(args) as runtime:
        which = _selected(runtime, args)
        rows = sync_status(runtime.store, which)
        sources = _sources(runtime)
        cut_off = _cut_off(runtime)
        leaving = leaving_reach(runtime.store, which, EXCUSED_MS)
        missing = sum(row["missing_candles"] for row in rows)
        to_go = progress(runtime.store, which, missing, rows_per_page=runtime.rows_per_page)
    if output.as_json:
        document = {"series": rows, "missing_candles": missing, "progress": to_go.as_dict(), "sources": sources}
        output.document({**document, "leaving_reach": [one._asdict() for one in leaving]})
    else:
        show_rows(output, "series", rows, STATUS_COLUMNS, _limit(args), worst_series)
        output.table("sources", sources, SOURCE_COLUMNS)
        for one in leaving:
            output.error(str(one))
        output.line(NOTHING_WANTED if not rows else str(to_go) if missing else f"all complete{cut_off}")
    return GAPS_REMAIN if missing or not rows else COMPLETE


def gaps(args: argparse.Namespace, output: Output) -> int:
    """List the gaps; exit code 3 if there is any."""
    with _runtime(args) as runtime:
        rows = gaps_of(runtime.store, _selected(runtime, args))
        is_declared = runtime.store.wishes.are_any()
    if output.as_json:
        output.document({"gaps": rows, "missing_candles": sum(row["missing_candles"] for row in rows)})
    elif rows:
        show_rows(output, "gaps", rows, GAP_COLUMNS, _limit(args), lambda row: (missing(row),))
    else:
        output.line("no gaps" if is_declared else NOTHING_WANTED)
    return GAPS_REMAIN if rows or not is_declared else COMPLETE


def fill(args: argparse.Namespace, output: Output) -> int:
    """Fill the gaps, or print the plan; exit code 3 while candles are missing, 1 if a series failed."""
    check_sources("--sources", args.sources)
    with _runtime(args) as runtime:
        which = _selected(runtime, args)
        if args.dry_run:
            return _show_plan(plan_fill(runtime, which, only=args.sources, recheck=args.recheck), output)
        runtime.store.run_log.abandon_dead_runs()
        windows = runtime.store.windows(which)
        with ending_in_order(runtime.stop):
            reports = _fill_all(runtime, windows, args, output)
        if runtime.stop.is_asked:
            runtime.store.run_log.abandon_dead_runs()  # series that could not end in time
        cut_off = _cut_off(runtime)
    if output.as_json:
        output.document({"runs": [report.as_dict() for report in reports], **_totals(reports)})
    else:
        _show_reports(reports, output, cut_off, _limit(args))
    if runtime.stop.reason:
        output.error(f"interrupted ({runtime.stop.reason}); what was stored stays stored, run it again to go on")
        is_whole = len(reports) == len(windows) and not any(report.missing_after for report in reports)
        return leave(COMPLETE if is_whole else FAILURE)
    if any(report.status == "failed" for report in reports):
        return FAILURE
    return GAPS_REMAIN if any(report.missing_after for report in reports) else COMPLETE


def _limit(args: argparse.Namespace) -> int | None:
    return None if args.all else args.limit


def _runtime(args: argparse.Namespace) -> Runtime:
    said = {name: getattr(args, name, None) for name in ("batch_limit", "request_sleep_ms")}
    settings = load_settings().model_copy(update={name: value for name, value in said.items() if value is not None})
    return Runtime(database_uri(args.db), settings, source_from_environment)


def _sources(runtime: Runtime) -> list[dict[str, Any]]:
    """The health of each source that can be asked, so without derived bars."""
    return [row for row in runtime.store.health("status").all() if is_source(row["source"])]


def _cut_off(runtime: Runtime) -> str:
    """The sources not asked at present, to append to a summary."""
    sources = _sources(runtime)
    names = [row["source"] for row in sources if row["state"] == "open" or row["paused_until"]]
    if not names:
        return ""
    if len(names) == len(sources):
        return f"; no source can be asked at present ({', '.join(names)})"
    wishes = runtime.store.wishes.wanted().values()
    fallbacks = {name for wish in wishes for name in wish.sources[1:]} - {wish.sources[0] for wish in wishes}
    every = "; every fallback is cut off" if fallbacks and fallbacks <= set(names) else ""
    return f"; not asked at present: {', '.join(names)}{every}"


def _selected(runtime: Runtime, args: argparse.Namespace) -> Selection:
    """The selected series. Only a fill writes the universe to Postgres first."""
    select = select_declared if args.command == "fill" and not args.dry_run else select_wanted
    return select(
        runtime,
        symbols=args.symbols,
        timeframes=args.timeframes,
        start=getattr(args, "start", None),
        end=getattr(args, "end", None),
    )


def _fill_all(
    runtime: Runtime, windows: Sequence[SeriesWindow], args: argparse.Namespace, output: Output
) -> list[FillReport]:
    who = RunIdentity("backfill", f"cli__{datetime.now(timezone.utc).isoformat()}", "fill")
    reports: list[FillReport] = []
    with output.progress(len(windows), "series") as bar:
        for report in fill_series(runtime, windows, who, only=args.sources, recheck=args.recheck):
            reports.append(report)
            line = (
                f"{report.symbol} {report.timeframe}: {report.status}, {report.rows_inserted:,} inserted, "
                f"{report.missing_after:,} missing, {report.requests} requests"
                + (f"; not all could be asked: {report.error}" if report.status == "complete" and report.error else "")
            )
            if bar is None:
                _note(output, report, line, len(reports), len(windows), args)
            else:
                bar.update(bar.task_ids[0], advance=1, last=line)
    return sorted(reports, key=lambda report: (report.symbol, timeframe(report.timeframe).step_ms))


def _note(output: Output, report: FillReport, line: str, done: int, series: int, args: argparse.Namespace) -> None:
    """A line per series if few, else per failure or twentieth part."""
    limit = _limit(args)
    if limit is None or series <= limit or report.status == "failed":
        output.note(line)
    elif done * 20 // series != (done - 1) * 20 // series:
        output.note(f"{done:,} of {series:,} series; the last: {line}")


def _show_plan(plan: FillPlan, output: Output) -> int:
    rows = [row._asdict() for row in plan.rows]
    if output.as_json:
        totals = {"missing_candles": plan.missing_candles, "requests_planned": plan.requests_planned}
        output.document({"plan": rows, **totals})
    else:
        output.table("plan", rows, PLAN_COLUMNS)
        found = f"{plan.missing_candles:,} candles are missing; {plan.requests_planned:,} requests would fetch them"
        output.line(found if rows else NOTHING_WANTED)
    return GAPS_REMAIN if plan.missing_candles or not plan.rows else COMPLETE


def _show_reports(reports: Sequence[FillReport], output: Output, cut_off: str, limit: int | None) -> None:
    rows = [report.as_dict() for report in reports]
    show_rows(output, "series", rows, REPORT_COLUMNS, limit, worst_series)
    totals = _totals(reports)
    output.line(
        f"{totals['rows_inserted']:,} inserted, {totals['rows_revised']:,} revised, "
        f"{totals['rows_quarantined']:,} quarantined, {totals['absent_found']:,} established as absent; "
        f"{totals['requests_planned']:,} requests planned, {totals['requests']:,} made; "
        f"{totals['missing_after']:,} candles are still missing{cut_off}"
    )
    for error in dict.fromkeys(report.error for report in reports if report.error):
        output.error(error)


def _totals(reports: Sequence[FillReport]) -> dict[str, int]:
    names = ("rows_inserted", "rows_revised", "rows_quarantined", "absent_found", "requests_planned", "requests",
             "missing_after")  # fmt: skip
    return {name: sum(getattr(report, name) for report in reports) for name in names}

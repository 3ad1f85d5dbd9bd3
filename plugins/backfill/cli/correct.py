"""``backfill correct``: a file of corrections, shown first, then applied."""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from backfill.cli.lists import exact
from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.errors import ConfigurationError
from backfill.jobs.by_hand.correct_candles import Corrections
from backfill.sources.runtime import Runtime

APPLIED, FAILURE = 0, 1
FIELDS = ("open", "high", "low", "close", "volume", "quote_volume")

Row = Mapping[str, Any]


def correct(args: argparse.Namespace, output: Output) -> int:
    """Show what a file of corrections changes and, once confirmed, apply it."""
    asks = sys.stdin.isatty() and not args.yes and not args.dry_run
    if asks and output.as_json:
        raise ConfigurationError("--json shows nothing to agree to before it applies: add --yes or --dry-run")
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        corrections = Corrections.read(runtime.store, args.file, runtime.settle_ms)
        rows = corrections.changes()
        planned = Counter(row["change"] for row in rows)
        to_apply = planned["changed"] + planned["new"]
        if not output.as_json:
            _show(rows, planned, output)
        written: dict[str, int] = {}
        if to_apply and not args.dry_run:
            if asks and not _agreed(f"apply {to_apply:,} corrections? [y/N] ", output):
                output.line("nothing was applied")
                return FAILURE
            written = corrections.apply(args.reason)._asdict()
    if output.as_json:
        counts = {change: planned[change] for change in ("changed", "new", "unchanged")}
        output.document({**counts, "applied": bool(written), **written, "rows": [_as_document(row) for row in rows]})
    elif written:
        output.line(
            f"{written['revised']:,} corrected, {written['inserted']:,} added, "
            f"{written['findings_settled']:,} findings settled"
        )
    return APPLIED


def _show(rows: Sequence[Row], planned: Counter[str], output: Output) -> None:
    """Show what is stored and what would replace it."""
    for row in rows:  # may be many, and rich takes 0.1 ms for each
        bar = f"{row['symbol']} {row['timeframe']} {row['open_time']:%Y-%m-%d %H:%M}"
        print(f"line {row['place']}: {bar} {row['change']}{_values(row)}")
    output.line(f"{planned['changed']:,} to correct, {planned['new']:,} to add, {planned['unchanged']:,} unchanged")


def _values(row: Row) -> str:
    if row["change"] == "changed":
        fields = [f"{name} {exact(row[f'held_{name}'])} -> {exact(row[name])}" for name in row["fields"]]
        return f": {', '.join(fields)} (held from {row['held_source']})"
    if row["change"] == "new":
        return ": " + ", ".join(f"{name} {exact(row[name])}" for name in FIELDS)
    return ""


def _agreed(question: str, output: Output) -> bool:
    try:
        return output.notes.input(question, markup=False).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _as_document(row: Row) -> dict[str, Any]:
    held = {name: _json_number(row[f"held_{name}"]) for name in FIELDS} | {"source": row["held_source"]}
    return {
        "line": row["place"],
        **{name: row[name] for name in ("symbol", "timeframe", "open_time", "change", "fields")},
        "held": None if row["change"] == "new" else held,
        "becomes": {name: row[name] for name in FIELDS},
    }


def _json_number(value: float | None) -> float | str | None:
    """JSON has no NaN, which a foreign writer may have stored."""
    return value if value is None or math.isfinite(value) else str(value)

"""``backfill condition SYMBOL [TIMEFRAME]``: may I use this day?"""

from __future__ import annotations

import argparse
from collections import Counter

from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.jobs.fill.fill_universe import select_wanted
from backfill.sources.runtime import Runtime
from backfill.storage.conditions import USABLE, conditions

ALL_USABLE, SOME_UNUSABLE = 0, 3
COLUMNS = (
    "timeframe", "day", "condition", "expected", "held", "stand_in", "proved_absent", "reported_absent", "closed",
    "refused", "doubtful", "missing", "sources", "agreed", "changed_at", "leaves_reach_at", "reason", "would_change",
)  # fmt: skip


def condition(args: argparse.Namespace, output: Output) -> int:
    """Print a row per day; exit code 3 if a day is not whole or doubtful."""
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        timeframes = None if args.timeframe is None else [args.timeframe]
        which = select_wanted(runtime, symbols=[args.symbol], timeframes=timeframes, start=args.start, end=args.end)
        rows = [{**row, "day": row["day"].isoformat()} for row in conditions(runtime.store, which)]
    counts = Counter(row["condition"] for row in rows)
    if output.as_json:
        output.document({"conditions": rows, "counts": counts})
    else:
        shown = [
            {
                **row,
                "sources": ", ".join(f"{name} {bars}" for name, bars in row["sources"].items()),
                "agreed": ", ".join(row["agreed"]),
            }
            for row in rows
        ]
        output.table(f"{args.symbol}: {len(rows)} days", shown, COLUMNS)
        output.line(", ".join(f"{count:,} {name}" for name, count in counts.most_common()) or "no day in this window")
    return ALL_USABLE if rows and set(counts) <= set(USABLE) else SOME_UNUSABLE

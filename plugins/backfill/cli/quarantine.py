"""``backfill quarantine list | discard | release``."""

from __future__ import annotations

import argparse
import json

from backfill.cli.lists import check_symbols, show_newest
from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.jobs.by_hand.quarantine import discard, release
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore

DONE = 0
COLUMNS = (
    "id", "symbol", "timeframe", "source", "open_time", "rule", "payload", "times_seen", "status", "since", "note",
)  # fmt: skip


def quarantine(args: argparse.Namespace, output: Output) -> int:
    """List rows in quarantine, discard some, or release them as candles."""
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        if args.action == "list":
            _list(runtime.store, args, output)
        elif args.action == "discard":
            discard(runtime.store, args.ids, args.reason)
            _tell(output, args, {})
        else:
            written = release(runtime.store, args.ids, args.reason, runtime.settle_ms)
            _tell(output, args, written._asdict())
    return DONE


def _list(store: CandleStore, args: argparse.Namespace, output: Output) -> None:
    check_symbols(store, args.symbols)
    status = None if args.status == "all" else args.status
    rows = store.quarantine.rows(status=status, symbols=args.symbols, max_rows=args.limit + 1)
    shown = [{name: row[name] for name in COLUMNS} for row in rows]
    if not output.as_json:
        for row in shown:  # a number with commas could not be given to `release`
            row |= {"id": str(row["id"]), "payload": json.dumps(row["payload"], ensure_ascii=False)}
    show_newest(output, "quarantine", shown, COLUMNS, args.limit)


def _tell(output: Output, args: argparse.Namespace, written: dict[str, int]) -> None:
    past = {"discard": "discarded", "release": "released"}[args.action]
    if output.as_json:
        output.document({past: args.ids, **written})
        return
    counts = "".join(f", {count:,} {name.replace('_', ' ')}" for name, count in written.items() if count)
    output.line(f"{len(args.ids):,} {past}{counts}")

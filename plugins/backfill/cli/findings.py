"""``backfill findings`` and ``backfill findings dismiss``."""

from __future__ import annotations

import argparse
from typing import Any

from backfill.cli.lists import check_symbols, exact, show_newest
from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.jobs.by_hand.dismiss_findings import dismiss_findings
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore

DONE = 0
# What fits on a line; the JSON document is complete.
COLUMNS = (
    "id", "symbol", "timeframe", "source", "kind", "verdict", "start_time", "field", "stored", "other", "detail",
    "status",
)  # fmt: skip


def findings(args: argparse.Namespace, output: Output) -> int:
    """List findings, or dismiss some."""
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        if args.action == "dismiss":
            dismiss_findings(runtime.store, args.ids, args.reason)
            if output.as_json:
                output.document({"dismissed": args.ids})
            else:
                output.line(f"{len(args.ids):,} dismissed")
        else:
            _list(runtime.store, args, output)
    return DONE


def _list(store: CandleStore, args: argparse.Namespace, output: Output) -> None:
    check_symbols(store, args.symbols)
    status = None if args.status == "all" else args.status
    rows = store.findings.all(status=status, kinds=args.kinds, symbols=args.symbols, max_rows=args.limit + 1)
    if not output.as_json:
        rows = [_as_line(row) for row in rows]
    show_newest(output, "findings", rows, COLUMNS, args.limit)


def _as_line(row: dict[str, Any]) -> dict[str, Any]:
    figures = {name: exact(row[name]) for name in ("stored", "other") if row[name] is not None}
    detail = row["detail"].get("says") or ", ".join(f"{name} {value}" for name, value in row["detail"].items())
    return {**row, **figures, "id": str(row["id"]), "detail": detail}

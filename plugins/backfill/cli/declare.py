"""``backfill declare``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.config.universe_model import SeriesWish
from backfill.domain.timeframes import DAY_MS, HOUR_MS, utc
from backfill.errors import ConfigurationError
from backfill.jobs.universe.declare_universe import Declaration, compare_universe, write_declaration
from backfill.sources.runtime import Runtime

DONE, NOT_DONE = 0, 1
# Dropping more may be the wrong file and needs confirmation.
FEW_DROPPED = 3
COLUMNS = ("change", "symbol", "timeframe", "history", "sources")


def declare(args: argparse.Namespace, output: Output) -> int:
    """Print how the universe file differs from Postgres, and apply it. Dropped series keep their candles."""
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        declaration = compare_universe(runtime)
        _show(declaration, output)
        if args.dry_run:
            return DONE
        if not (args.yes or len(declaration.undeclared) <= FEW_DROPPED or _is_agreed(declaration, output)):
            output.error("nothing was written")
            return NOT_DONE
        write_declaration(runtime.store, declaration, drop=True)
    return DONE


def _is_agreed(declaration: Declaration, output: Output) -> bool:
    """Ask at a terminal; elsewhere ``--yes`` has to say it."""
    dropped = len(declaration.undeclared)
    if output.as_json or not sys.stdin.isatty():
        raise ConfigurationError(f"{dropped:,} series would be dropped: say --yes if that is meant")
    output.note(f"{dropped:,} series would no longer be kept up to date; their candles stay. Drop them? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(declaration: Declaration, output: Output) -> None:
    rows = list(_rows(declaration))
    counts = {
        "series": len(declaration.wishes),
        "added": len(declaration.added),
        "changed": len(declaration.changed),
        "dropped": len(declaration.undeclared),
    }
    if output.as_json:
        output.document({**counts, "changes": rows})
        return
    if rows:
        output.table(f"{len(rows)} changes", rows, COLUMNS)
    output.line(", ".join(f"{count:,} {what}" for what, count in counts.items()))


def _rows(declaration: Declaration) -> Iterator[dict[str, str]]:
    for change, wishes in (("added", declaration.added), ("changed", declaration.changed)):
        for wish in wishes:
            yield _row(change, wish.symbol, wish.timeframe, _history(wish), ", ".join(wish.sources))
    for symbol, timeframe in sorted(declaration.undeclared):
        yield _row("dropped", symbol, timeframe)


def _row(change: str, symbol: str, timeframe: str, history: str = "", sources: str = "") -> dict[str, str]:
    return dict(zip(COLUMNS, (change, symbol, timeframe, history, sources), strict=True))


def _history(wish: SeriesWish) -> str:
    if wish.history_ms is None:
        return f"since {utc(wish.since_ms or 0):%Y-%m-%d}"
    days, rest_ms = divmod(wish.history_ms, DAY_MS)
    return f"{days}d" if rest_ms == 0 else f"{wish.history_ms / HOUR_MS:g}h"

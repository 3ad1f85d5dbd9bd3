"""``backfill rename``: carry over a former name's history after showing its proof."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any

from backfill.cli.output import Output
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.domain.timeframes import utc
from backfill.errors import ConfigurationError
from backfill.jobs.by_hand.bars_elsewhere import bars_elsewhere
from backfill.jobs.by_hand.carry_history import Pair, Rename
from backfill.sources.runtime import Runtime

DONE, NOT_DONE = 0, 1
COLUMNS = ("timeframe", "candles", "from", "to", "common_bars", "agreeing_bars", "proof")


def rename(args: argparse.Namespace, output: Output) -> int:
    """Show what would be carried over and, once confirmed, do it."""
    with Runtime(database_uri(args.db), load_settings(), source_from_environment) as runtime:
        plan = Rename(runtime.store, args.old, args.new, runtime.settle_ms, partial(bars_elsewhere, runtime))
        planned = sum(pair.candles for pair in plan.pairs)
        rows = [_row(pair) for pair in plan.pairs]
        if not output.as_json:
            output.table(f"{args.old} is {args.new}: prices / {plan.divisor:g}", rows, COLUMNS)
        carried: dict[str, int] = {}
        if planned and not args.dry_run:
            if not (args.yes or _is_agreed(planned, output)):
                output.error("nothing was written")
                return NOT_DONE
            carried = plan.apply()
    if output.as_json:
        document = {"old": args.old, "new": args.new, "price_divisor": plan.divisor, "series": rows}
        output.document({**document, "planned": planned, "carried": sum(carried.values())})
    elif carried:
        output.line(f"{sum(carried.values()):,} candles carried over; those of {args.old} stay as they are")
    elif planned:
        output.line(f"{planned:,} candles to carry over")
    else:
        output.line(f"nothing to carry over: {args.old} has no bars before those of {args.new}, or {args.new} none yet")
    return DONE


def _is_agreed(planned: int, output: Output) -> bool:
    """Ask at a terminal; elsewhere ``--yes`` has to say it."""
    if output.as_json or not sys.stdin.isatty():
        raise ConfigurationError(f"{planned:,} candles would be carried over: say --yes if that is meant, or --dry-run")
    output.note(f"{planned:,} candles are carried over. Do it? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _row(pair: Pair) -> dict[str, Any]:
    part, proof = pair.part, pair.proof
    span = (utc(part[0].start), utc(part[-1].end)) if part else (None, None)
    figures = (proof.common_bars, proof.agreeing_bars, proof.reason)
    return dict(zip(COLUMNS, (pair.old.timeframe, pair.candles, *span, *figures), strict=True))

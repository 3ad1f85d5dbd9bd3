"""The words of the command line."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from backfill import __version__
from backfill.errors import ConfigurationError
from backfill.window_params import as_list, as_moment


def parser() -> argparse.ArgumentParser:
    """Every command with its options; a bad use exits with 2."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON document instead of tables")

    candles = argparse.ArgumentParser(add_help=False, parents=[common])
    candles.add_argument("--db", metavar="URI", help="Postgres; else BACKFILL_DB, else AIRFLOW_CONN_CANDLES_DB")

    some = argparse.ArgumentParser(add_help=False)
    some.add_argument("--symbols", type=comma_list, metavar="A,B", help="only these instruments, e.g. BTC-USDT")
    some.add_argument("--timeframes", type=comma_list, metavar="1m,1h", help="only these timeframes")

    window = argparse.ArgumentParser(add_help=False)
    window.add_argument("--from", dest="start", type=moment, metavar="T", help="ISO 8601 (UTC) or epoch ms")
    window.add_argument("--to", dest="end", type=moment, metavar="T", help="ISO 8601 (UTC) or epoch ms; exclusive")

    root = argparse.ArgumentParser(prog="backfill", description="Keeps candle history in Postgres complete.")
    root.add_argument("--version", action="version", version=f"backfill {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("migrate", parents=[candles], help="create or update the schema `backfill`")
    commands.add_parser("status", parents=[candles, some], help="coverage of every series")
    commands.add_parser("gaps", parents=[candles, some, window], help="what is missing, gap by gap")
    fill = commands.add_parser("fill", parents=[candles, some, window], help="find the gaps and close them")
    fill.add_argument("--sources", type=comma_list, metavar="A,B", help="ask only these, in this order")
    fill.add_argument("--recheck", action="store_true", help="ask again for bars that a source has denied")
    fill.add_argument("--dry-run", action="store_true", help="print the plan and its requests, ask nobody")
    commands.add_parser("doctor", parents=[candles], help="check database, schema, clock, sources and settings")

    local = argparse.ArgumentParser(add_help=False)
    local.add_argument("--once", action="store_true", help="stop when the run has ended, exit with its result")
    demo = commands.add_parser("demo", parents=[common, local], help="the whole system on this machine, on paper")
    demo.add_argument("--replay", type=Path, metavar="DIR", help="serve this folder of real candles")
    demo.add_argument("--select", metavar="GLOB", help="with --replay: only the files that match")
    commands.add_parser("up", parents=[common, local], help="the same against the real exchanges")
    return root


def comma_list(text: str) -> list[str]:
    names = as_list(text)
    if names is None:
        raise argparse.ArgumentTypeError("names nothing")
    return names


def moment(text: str) -> datetime:
    """ISO 8601 (without an offset: UTC) or epoch ms."""
    try:
        at = as_moment("time", text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if at is None:
        raise argparse.ArgumentTypeError("names no time")
    return at

"""The options of the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from backfill import __version__
from backfill.cli.many_rows import FEW_ROWS
from backfill.config.parameters import as_list, as_moment, our_name
from backfill.config.settings import MAX_BATCH_LIMIT, MAX_REQUEST_SLEEP_MS
from backfill.config.source_names import is_stored_source
from backfill.config.universe_model import parse_symbol
from backfill.domain.segments import FORMATS, PERIODS, STATUSES
from backfill.errors import ConfigurationError

EXAMPLES = """examples:
  backfill fill --symbols BTC-USDT,ETH-USDT --timeframes 1m --from 2026-01-01
  backfill gaps --timeframes 1h --json
  backfill explain BTC-USDT 1m 2026-01-31T12:00Z
  backfill export /srv/candles --dry-run
  backfill import ~/Downloads/data.binance.vision
  backfill segments claim --consumer trainer --limit 8

exit codes: 0 complete, 3 gaps remain or something was left out, 2 bad usage, 1 failure
"""


def parser() -> argparse.ArgumentParser:
    """Every command with its options; bad usage exits with 2."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    common.add_argument("--wide", action="store_true", help="print all columns, however narrow the terminal is")

    candles = argparse.ArgumentParser(add_help=False, parents=[common])
    candles.add_argument(
        "--db", metavar="URI", help="Postgres; else BACKFILL_DB, AIRFLOW_CONN_CANDLES_DB, or the stack in .backfill"
    )

    some_symbols = argparse.ArgumentParser(add_help=False)
    some_symbols.add_argument(
        "--symbols", type=symbol_list, metavar="A,B", help="only these instruments, e.g. BTC-USDT"
    )

    some = argparse.ArgumentParser(add_help=False, parents=[some_symbols])
    some.add_argument("--timeframes", type=comma_list, metavar="1m,1h", help="only these timeframes")

    long = argparse.ArgumentParser(add_help=False)
    long.add_argument(
        "--limit", type=positive, default=FEW_ROWS, metavar="N", help=f"rows at most, the worst ({FEW_ROWS})"
    )
    long.add_argument("--all", action="store_true", help="every row")

    window = argparse.ArgumentParser(add_help=False)
    window.add_argument("--from", dest="start", type=moment, metavar="T", help="ISO 8601 (UTC) or epoch ms")
    window.add_argument("--to", dest="end", type=moment, metavar="T", help="ISO 8601 (UTC) or epoch ms; exclusive")

    root = argparse.ArgumentParser(
        prog="backfill",
        description="Keeps candle history in Postgres complete.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"backfill {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    migrate = commands.add_parser("migrate", parents=[candles], help="create or update the schema `backfill`")
    migrate.add_argument("--check", action="store_true", help="say what is not applied yet, and stop")
    declare = commands.add_parser("declare", parents=[candles], help="make Postgres want what the universe file says")
    declare.add_argument("--dry-run", action="store_true", help="print the difference and stop")
    declare.add_argument("--yes", action="store_true", help="drop series without asking")
    commands.add_parser("status", parents=[candles, some, long], help="coverage of every series")
    commands.add_parser("gaps", parents=[candles, some, window, long], help="what is missing, gap by gap")
    fill = commands.add_parser("fill", parents=[candles, some, window, long], help="find the gaps and close them")
    fill.add_argument("--sources", type=comma_list, metavar="A,B", help="ask only these, in this order")
    fill.add_argument("--recheck", action="store_true", help="ask again for bars that a source is believed to lack")
    fill.add_argument("--batch-limit", type=number(1, MAX_BATCH_LIMIT), metavar="N", help="rows a page of Blofin's")
    fill.add_argument(
        "--sleep-ms",
        dest="request_sleep_ms",
        type=number(0, MAX_REQUEST_SLEEP_MS),
        metavar="MS",
        help="least time between two requests to one source",
    )
    fill.add_argument("--dry-run", action="store_true", help="print the plan and its requests, ask no source")
    prune = commands.add_parser("prune", parents=[candles], help="remove what is older than its retention")
    prune.add_argument("--dry-run", action="store_true", help="print what would be removed and stop")
    validate = commands.add_parser("validate", parents=[candles, some, window], help="is what is held whole and right?")
    validate.add_argument(
        "--sources", type=comma_list, metavar="A,B", help="compare with only these, beside the primary source"
    )
    validate.add_argument("--thorough", action="store_true", help="add up bars also where nothing is missing")
    audit = commands.add_parser("audit", parents=[candles, some_symbols], help="is what is said of the candles true?")
    audit.add_argument("--repair", action="store_true", help="mend what can be mended without losing anything")
    explain = commands.add_parser(
        "explain", parents=[candles], help="one bar: its source, who agreed, what it was before"
    )
    explain.add_argument("symbol", type=_symbol, metavar="SYMBOL", help="e.g. BTC-USDT")
    explain.add_argument("timeframe", metavar="TIMEFRAME", help="e.g. 1m")
    explain.add_argument("open_time", type=moment, metavar="OPEN_TIME", help="ISO 8601 (UTC) or epoch ms")
    condition = commands.add_parser("condition", parents=[candles, window], help="may I use this day? one row a day")
    condition.add_argument("symbol", type=_symbol, metavar="SYMBOL", help="e.g. BTC-USDT")
    condition.add_argument("timeframe", nargs="?", metavar="TIMEFRAME", help="e.g. 1m; else all")
    _add_decisions(commands, candles, some_symbols)
    _add_files(commands, candles, some, window)
    commands.add_parser("doctor", parents=[candles], help="check database, schema, clock, sources and settings")

    local = argparse.ArgumentParser(add_help=False)
    local.add_argument("--once", action="store_true", help="stop when the run has ended, exit with its result")
    demo = commands.add_parser("demo", parents=[common, local], help="the whole system on this machine, on paper")
    demo.add_argument("--replay", type=Path, metavar="DIR", help="serve this folder of real candles")
    demo.add_argument("--select", metavar="GLOB", help="with --replay: only the files that match")
    demo.add_argument(
        "--celery", type=positive, default=0, metavar="N", help="run tasks by N Celery workers, with Redis"
    )
    commands.add_parser("up", parents=[common, local], help="the same against the real exchanges")
    env = commands.add_parser(
        "env", parents=[common], help="run a command, such as airflow, in the environment of the stack that is up"
    )
    env.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="none: print the variables")
    return root


def _add_decisions(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    candles: argparse.ArgumentParser,
    some_symbols: argparse.ArgumentParser,
) -> None:
    newest = argparse.ArgumentParser(add_help=False, parents=[candles, some_symbols])
    newest.add_argument("--limit", type=positive, default=100, metavar="N", help="the newest N (100)")
    decided = argparse.ArgumentParser(add_help=False, parents=[candles])
    decided.add_argument("ids", type=positive, nargs="+", action=_Once, metavar="ID")

    quarantine = commands.add_parser("quarantine", help="rows that broke a rule: list them, decide on them")
    actions = quarantine.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", parents=[newest], help="rows as they came, and the rule they broke")
    listed.add_argument("--status", choices=("pending", "released", "discarded", "all"), default="pending")
    for action, meaning in (("discard", "agree that they are wrong"), ("release", "store them all the same")):
        decision = actions.add_parser(action, parents=[decided], help=meaning)
        decision.add_argument("--reason", type=sentence, metavar="TEXT", help="why; it is kept")

    correct = commands.add_parser("correct", parents=[candles], help="apply a CSV of corrected candles")
    correct.add_argument("file", type=Path, metavar="FILE.csv", help="symbol,timeframe,open_time,open,high,low,close,"
                         "volume and, if known, quote_volume")  # fmt: skip
    correct.add_argument("--reason", type=sentence, required=True, metavar="TEXT", help="why; every revision keeps it")
    correct.add_argument("--dry-run", action="store_true", help="show what would change and stop")
    correct.add_argument("--yes", action="store_true", help="do not ask")

    rename = commands.add_parser(
        "rename", parents=[candles], help="carry the history of a former name over, if common bars prove it"
    )
    rename.add_argument("old", type=_symbol, metavar="OLD", help="the former name, e.g. MATIC-USDT")
    rename.add_argument("new", type=_symbol, metavar="NEW", help="the name now, e.g. POL-USDT")
    rename.add_argument(
        "--dry-run", action="store_true", help="show the proof and what would be carried over, and stop"
    )
    rename.add_argument("--yes", action="store_true", help="do not ask")

    findings = commands.add_parser("findings", parents=[newest], help="what checks have found")
    findings.add_argument("--kinds", type=comma_list, metavar="A,B", help="only findings of these kinds")
    findings.add_argument("--status", choices=("open", "settled", "dismissed", "all"), default="open")
    actions = findings.add_subparsers(dest="action", metavar="dismiss")
    dismiss = actions.add_parser("dismiss", help="they need no action")
    dismiss.add_argument("ids", type=positive, nargs="+", action=_Once, metavar="ID")
    # Also valid before `dismiss`: a default here would replace the value given there.
    dismiss.add_argument("--db", default=argparse.SUPPRESS, metavar="URI", help="as for every command")
    dismiss.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    dismiss.add_argument("--wide", action="store_true", default=argparse.SUPPRESS, help="print all columns")
    dismiss.add_argument("--reason", type=sentence, required=True, metavar="TEXT", help="why; the finding keeps it")


def _add_files(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    candles: argparse.ArgumentParser,
    some: argparse.ArgumentParser,
    window: argparse.ArgumentParser,
) -> None:
    export = commands.add_parser("export", parents=[candles, some, window], help="write whole days or months to files")
    export.add_argument("folder", metavar="DIR", help="a folder, or a URL such as s3://bucket/candles")
    export.add_argument("--format", choices=FORMATS, default="csv", help="default: csv")
    export.add_argument("--period", choices=PERIODS, help="default: a day; a month where a day has fewer than 24 bars")
    export.add_argument("--doubtful", action="store_true", help="also days that are in doubt")
    export.add_argument("--recheck", action="store_true", help="read all candles again, not only what was revised")
    export.add_argument("--dry-run", action="store_true", help="print what would be written and stop")

    imports = commands.add_parser("import", parents=[candles, some], help="read files of candles through all checks")
    imports.add_argument("folder", type=Path, metavar="DIR", help="a folder and all below it, or one file")
    imports.add_argument("--source", type=_source, metavar="NAME", help="who supplied them; else the file says it")
    imports.add_argument("--spot", action="store_true", help="also spot candles, where no stand-in is allowed")
    imports.add_argument("--dry-run", action="store_true", help="check the files and stop")

    segments = commands.add_parser("segments", help="exported files: list, claim, finish, verify")
    actions = segments.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", parents=[candles, some], help="registered files, newest first")
    listed.add_argument("--status", choices=(*STATUSES, "all"), default="all", help="default: all")
    listed.add_argument("--limit", type=positive, default=100, metavar="N", help="so many at most, the newest (100)")
    claim = actions.add_parser("claim", parents=[candles, some], help="take some to work on, the oldest first")
    claim.add_argument("--consumer", type=sentence, required=True, metavar="NAME", help="who works on them")
    claim.add_argument("--limit", type=positive, default=1, metavar="N", help="so many at most (1)")
    done = actions.add_parser("done", parents=[candles], help="claimed segments are processed")
    done.add_argument("--consumer", type=sentence, metavar="NAME", help="only if it has claimed them")
    done.add_argument("--delete", action="store_true", help="and their files are removed")
    release = actions.add_parser("release", parents=[candles], help="hand claimed segments back")
    for action in (done, release):
        action.add_argument("ids", type=positive, nargs="+", action=_Once, metavar="ID")
    actions.add_parser("verify", parents=[candles, some], help="hash the files again and compare")


class _Once(argparse.Action):
    """Numbers in the order given, each once."""

    def __call__(self, _: object, namespace: argparse.Namespace, values: Any, __: str | None = None) -> None:
        setattr(namespace, self.dest, list(dict.fromkeys(values)))


def positive(text: str) -> int:
    """A number from 1 on that fits into 8 bytes."""
    if not re.fullmatch("[0-9]{1,18}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def sentence(text: str) -> str:
    """Text on one line, valid for the database."""
    said = " ".join(text.split())
    try:
        said.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError("it is no text in UTF-8") from error
    if not said:
        raise argparse.ArgumentTypeError("it says nothing")
    return said


def comma_list(text: str) -> list[str]:
    """The names of a comma list, at least one."""
    names = as_list(text)
    if names is None:
        raise argparse.ArgumentTypeError("names nothing")
    return names


def symbol_list(text: str) -> list[str]:
    """Our instrument names; ccxt's `BTC/USDT` and `BTC/USDT:USDT` are understood too."""
    return [_symbol(name) for name in comma_list(text)]


def _symbol(name: str) -> str:
    if (ours := our_name(name)) != name:
        return ours
    if "-" in name and not {"/", ":"} & set(name):
        return name  # checked against the universe later
    try:
        return parse_symbol(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _source(name: str) -> str:
    if not is_stored_source(name):
        raise argparse.ArgumentTypeError(f"{name!r} is no name of a source")
    return name


def number(least: int, most: int) -> Callable[[str], int]:
    """A whole number within these bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return parse


def moment(text: str) -> datetime:
    """ISO 8601 (without an offset: UTC) or epoch ms."""
    try:
        at = as_moment("time", text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if at is None:
        raise argparse.ArgumentTypeError("names no time")
    return at

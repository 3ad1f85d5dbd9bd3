"""``backfill``: the same jobs as the Airflow operators, from a terminal.

Exit codes: 0 all complete, 3 gaps remain, 2 bad usage or settings, 1 failure.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from backfill.cli.arguments import parser
from backfill.cli.output import Output
from backfill.config.env_file import adopt, read_env_files
from backfill.config.local_stack import adopt_stack
from backfill.config.older_names import KNOBS, fill_options
from backfill.config.settings import load_settings
from backfill.errors import BackfillError, ConfigurationError, OutOfMemory

COMPLETE, FAILURE, BAD_USAGE, GAPS_REMAIN = 0, 1, 2, 3

Command = Callable[[argparse.Namespace, Output], int]

COMMANDS = {
    "audit": ("audit", "run_audit"),
    "condition": ("condition", "condition"),
    "correct": ("correct", "correct"),
    "declare": ("declare", "declare"),
    "demo": ("local", "demo"),
    "doctor": ("doctor", "doctor"),
    "env": ("local", "env"),
    "explain": ("explain", "explain"),
    "export": ("files", "export"),
    "fill": ("candles", "fill"),
    "findings": ("findings", "findings"),
    "gaps": ("candles", "gaps"),
    "import": ("imports", "import_candles"),
    "migrate": ("candles", "migrate"),
    "prune": ("prune", "prune"),
    "quarantine": ("quarantine", "quarantine"),
    "rename": ("rename", "rename"),
    "segments": ("files", "segments"),
    "status": ("candles", "status"),
    "up": ("local", "up"),
    "validate": ("validate", "validate"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        given = _with_older_knobs(given)
    except ConfigurationError as error:
        Output(as_json=False).error(str(error))
        return BAD_USAGE
    options = parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(options)
    args = options.parse_args(given)
    output = Output(as_json=args.json, command=args.command, wide=args.wide)
    try:
        if getattr(args, "db", "") is None and (home := adopt_stack(load_settings().home, os.environ)):
            output.note(f"of the stack in {home}")
        return _command(args.command)(args, output)
    except ConfigurationError as error:
        output.failure(error, BAD_USAGE)
        return BAD_USAGE
    except BackfillError as error:
        output.failure(error, FAILURE)
        return FAILURE
    except Exception as error:
        lack = OutOfMemory.of(error)
        if lack is None:
            raise
        output.failure(lack, FAILURE)
        return FAILURE
    except KeyboardInterrupt:
        output.error("interrupted; what was stored stays stored, run it again to go on")
        return FAILURE


def _with_older_knobs(given: list[str]) -> list[str]:
    """Adopt `.env`; for a fill, the older job's options come before the caller's."""
    knobs = adopt(read_env_files(os.environ, Path.cwd()))
    if given[:1] != ["fill"]:
        return given
    if load_settings().older_names:
        knobs |= {name: os.environ[name] for name in KNOBS if name in os.environ}
    return ["fill", *fill_options(knobs), *given[1:]]


def _command(name: str) -> Command:
    """Import only the chosen command."""
    module, function = COMMANDS[name]
    command: Command = getattr(import_module(f"backfill.cli.{module}"), function)
    return command


if __name__ == "__main__":
    sys.exit(main())

"""``backfill demo | up | env``: the whole system on this machine."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from backfill.cli.output import Output
from backfill.config.local_stack import running_stack_in
from backfill.config.settings import load_settings
from backfill.errors import ConfigurationError


def demo(args: argparse.Namespace, output: Output) -> int:
    """Run the whole system against paper exchanges."""
    from backfill.local.demo import run_demo

    if args.select and not args.replay:
        raise ConfigurationError("--select chooses among the files of --replay DIR: give both")
    return run_demo(
        load_settings(),
        output,
        once=args.once,
        replay=args.replay,
        select=args.select or "*",
        celery_workers=args.celery,
    )


def up(args: argparse.Namespace, output: Output) -> int:
    """Run the whole system against the real exchanges."""
    from backfill.local.demo import run_up

    return run_up(load_settings(), output, once=args.once)


def env(args: argparse.Namespace, output: Output) -> int:
    """Run a command, such as `airflow`, in the environment of the running stack, or print that for a shell."""
    stack = running_stack_in(load_settings().home)
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    settings = {**stack.environment, "BACKFILL_HOME": str(stack.home)}
    settings["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    others = [name for name in os.environ if name.startswith("AIRFLOW_") and not name.startswith("AIRFLOW_CONN_")]
    if not words and output.as_json:
        output.document({"environment": settings, "unset": others})
        return 0
    if not words:
        print(*(f"unset {name}" for name in others), *map(_export, settings.items()), sep="\n")
        return 0
    kept = {name: value for name, value in os.environ.items() if name not in others}
    try:
        os.execvpe(words[0], words, {**kept, **settings})  # noqa: S606 - what the caller has typed
    except OSError as error:
        raise ConfigurationError(f"{words[0]}: {error.strerror}") from error


def _export(setting: tuple[str, str]) -> str:
    name, value = setting
    return f"export {name}={shlex.quote(value)}"

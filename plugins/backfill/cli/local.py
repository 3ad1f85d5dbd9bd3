"""``backfill demo | up``: the whole system on this machine."""

from __future__ import annotations

import argparse

from backfill.cli.output import Output
from backfill.config.settings import load_settings
from backfill.errors import ConfigurationError


def demo(args: argparse.Namespace, output: Output) -> int:
    """Run the whole system against paper exchanges."""
    from backfill.local.demo import run_demo

    if args.select and not args.replay:
        raise ConfigurationError("--select chooses among the files of --replay DIR: give both")
    return run_demo(load_settings(), output, once=args.once, replay=args.replay, select=args.select or "*")


def up(args: argparse.Namespace, output: Output) -> int:
    """Run the whole system against the real exchanges."""
    from backfill.local.demo import run_up

    return run_up(load_settings(), output, once=args.once)

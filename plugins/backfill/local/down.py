"""``python -m backfill.local.down [--remove]``: stop what was started from a home folder, and only that.

``--remove`` also deletes the folder, and what Postgres has written outside it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from backfill.config.settings import load_settings
from backfill.errors import BackfillError
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.local.stack import stop_stack

WRITTEN = ("airflow", "demo", "logs", "postgres", "replay-*", "stack.*")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m backfill.local.down", description=__doc__)
    parser.add_argument("--remove", action="store_true")
    args = parser.parse_args(arguments)
    try:
        home = load_settings().home
        if not home.exists():
            return 0
        if stop_stack(home):
            print(f"stopped what ran in {home}")
        if args.remove:
            remove_home(home)
    except BackfillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def remove_home(home: Path) -> None:
    """Delete what a stack writes, and the folder if then empty."""
    EmbeddedPostgres(home).remove()
    for pattern in WRITTEN:
        for path in home.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not any(home.iterdir()):
        home.rmdir()


if __name__ == "__main__":
    sys.exit(main())

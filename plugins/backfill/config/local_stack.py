"""What `backfill demo` and `backfill up`, while they run, leave in BACKFILL_HOME for other commands."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backfill.config.connections import DATABASE_VARIABLE
from backfill.config.env_file import DATABASE_URL
from backfill.errors import ConfigurationError

FILE = "stack.json"
# If one is set, the stack's database is not meant.
NAME_A_DATABASE = ("BACKFILL_DB", DATABASE_VARIABLE, DATABASE_URL)
OURS = ("BACKFILL_", "AIRFLOW_CONN_")


@dataclass(frozen=True)
class LocalStack:
    """``environment``: variables of its Airflow beyond the machine's. ``airflow``: its address."""

    home: Path
    pid: int
    airflow: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def remember_stack(home: Path, state: Mapping[str, Any]) -> None:
    """Write ``stack.json``, readable only by its owner: it has Airflow's keys."""
    file = home / FILE
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def stack_in(home: Path) -> LocalStack | None:
    """The running stack of ``home``, or None."""
    try:
        state = json.loads((home / FILE).read_text(encoding="utf-8"))
        stack = LocalStack(home.resolve(), state["pid"], state["airflow"], state["environment"])
        os.kill(stack.pid, 0)
    except PermissionError:  # another user's process
        return None
    except (OSError, ValueError, KeyError):  # none was started, it is starting, or it was killed
        return None
    return stack


def running_stack_in(home: Path) -> LocalStack:
    """The running stack of ``home``. Raises :class:`ConfigurationError` if there is none."""
    stack = stack_in(home)
    if stack is None:
        raise ConfigurationError(
            f"no stack is up in {home.resolve()}: start one with `make demo` or `make up`, or set BACKFILL_HOME"
        )
    return stack


def adopt_stack(home: Path, environ: MutableMapping[str, str]) -> Path | None:
    """Take all of the stack's settings, which belong together, if no variable names a database.

    Returns the stack's folder if taken.
    """
    if any(environ.get(name, "").strip() for name in NAME_A_DATABASE):
        return None
    stack = stack_in(home)
    if stack is None:
        return None
    environ.update({name: value for name, value in stack.environment.items() if name.startswith(OURS)})
    return stack.home

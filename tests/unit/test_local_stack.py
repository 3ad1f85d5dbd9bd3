"""The command line beside a running stack: whose database it takes, and the environment it hands to `airflow`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import backfill
from backfill.config.local_stack import adopt_stack, remember_stack, running_stack_in, stack_in
from backfill.errors import ConfigurationError

OURS = {
    "AIRFLOW_CONN_CANDLES_DB": "postgresql://postgres:@/candles_demo?host=/run/x",
    "BACKFILL_UNIVERSE": "/demo/universe.yaml",
    "BACKFILL_PROFILE": "",
}
AIRFLOWS = {"AIRFLOW_HOME": "/demo/air flow", "AIRFLOW__CORE__DAGS_FOLDER": "/demo/dags"}
UP = {"pid": os.getpid(), "airflow": "http://127.0.0.1:8080", "environment": OURS | AIRFLOWS}
ENDED_PID = 2**22 + 1  # more than Linux gives out


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def test_what_is_remembered_is_for_its_owner_alone(home: Path) -> None:
    remember_stack(home, {"pid": os.getpid()})
    assert stack_in(home) is None, "it is still starting"
    remember_stack(home, UP)
    assert stat.S_IMODE((home / "stack.json").stat().st_mode) == 0o600
    stack = stack_in(home)
    assert stack is not None
    assert (stack.airflow, stack.environment) == (UP["airflow"], UP["environment"])


@pytest.mark.parametrize("state", [None, "{", "{}", json.dumps({**UP, "pid": ENDED_PID})])
def test_a_stack_that_is_not_up_is_none(home: Path, state: str | None) -> None:
    if state is not None:
        (home / "stack.json").write_text(state)
    assert stack_in(home) is None
    with pytest.raises(ConfigurationError, match=r"no stack is up in .*make demo"):
        running_stack_in(home)
    environ: dict[str, str] = {}
    assert (adopt_stack(home, environ), environ) == (None, {})


def test_a_stacks_database_comes_with_its_universe_and_without_airflows_settings(home: Path) -> None:
    remember_stack(home, UP)
    environ = {"BACKFILL_UNIVERSE": "mine.yaml", "BACKFILL_PROFILE": "deep_history", "BACKFILL_SYMBOLS": "BTC-USDT"}
    assert adopt_stack(home, environ) == home
    assert environ == {**OURS, "BACKFILL_SYMBOLS": "BTC-USDT"}


@pytest.mark.parametrize("name", ["BACKFILL_DB", "AIRFLOW_CONN_CANDLES_DB", "DATABASE_URL"])
def test_a_database_that_is_named_beats_the_stacks(home: Path, name: str) -> None:
    remember_stack(home, UP)
    environ = {name: "postgresql://host/candles"}
    assert adopt_stack(home, environ) is None
    assert environ == {name: "postgresql://host/candles"}


def run(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "BACKFILL_"))},
        "BACKFILL_HOME": str(home),
        "PYTHONPATH": str(Path(backfill.__file__).parents[1]),
        **more,
    }
    command = [sys.executable, "-m", "backfill.cli.main", *words]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)


def test_a_command_runs_in_the_stacks_environment_and_not_in_another_airflows(home: Path) -> None:
    remember_stack(home, UP)
    shown = run(home, "env", "sh", "-c", "env", AIRFLOW_HOME="/mine", AIRFLOW__CORE__EXECUTOR="CeleryExecutor")
    assert shown.returncode == 0, shown.stderr
    given = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    assert given["AIRFLOW_HOME"] == "/demo/air flow"
    assert given["AIRFLOW_CONN_CANDLES_DB"] == OURS["AIRFLOW_CONN_CANDLES_DB"]
    assert "AIRFLOW__CORE__EXECUTOR" not in given
    assert given["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    missing = run(home, "env", "no-such-command")
    assert (missing.returncode, "no-such-command: No such file" in missing.stderr) == (2, True)


def test_a_shell_takes_what_is_printed(home: Path) -> None:
    remember_stack(home, UP)
    printed = run(home, "env").stdout
    shell = subprocess.run(
        ["sh", "-c", f'{printed}\necho "$AIRFLOW_HOME|$AIRFLOW_CONN_CANDLES_DB"'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shell.stdout.strip() == f"/demo/air flow|{OURS['AIRFLOW_CONN_CANDLES_DB']}"
    document: dict[str, Any] = json.loads(run(home, "env", "--json").stdout)
    assert document["environment"].items() >= UP["environment"].items()  # type: ignore[union-attr]


def test_without_a_stack_it_says_how_to_start_one(home: Path) -> None:
    ended = run(home, "env", "airflow", "version")
    assert (ended.returncode, "make demo" in ended.stderr) == (2, True)

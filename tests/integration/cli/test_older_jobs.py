"""What older jobs were given runs as it stands: their `.env`, their cron script."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backfill.storage.candle_store import CandleStore
from integration.helpers import rows

ROOT = Path(__file__).parents[3]
ENV = """
BACKFILL_LOOKBACK_HOURS=12          # was 16
BACKFILL_BATCH_LIMIT=1000
BACKFILL_MAX_GAP_MINUTES=10080
BACKFILL_SYMBOL_SLEEP_MS=500
SYMBOLS=BTC/USDT
TIMEFRAME=1h
START_TS=0
END_TS=0
BATCH_LIMIT=1000
SLEEP_MS=0
API_KEY=abc
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(environment: pytest.MonkeyPatch, tmp_path: Path, database_uri: str, store: CandleStore) -> Run:
    """A command in a folder with an `.env`; the database is named by it alone."""
    environment.delenv("BACKFILL_ENV_FILE")
    environment.delenv("BACKFILL_DB")
    (tmp_path / ".env").write_text(f"{ENV}DATABASE_URL={database_uri}\n")
    environment.setenv("PYTHONPATH", str(ROOT / "plugins"))

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return call


def test_a_fill_in_a_folder_with_an_older_env_file_does_what_it_says(run: Run, store: CandleStore) -> None:
    done = run(sys.executable, "-m", "backfill.cli.main", "fill")

    assert done.returncode == 0, done.stderr
    assert rows(store.connection, "SELECT DISTINCT symbol, timeframe FROM backfill.ohlcv") == [("BTC-USDT", "1h")]
    told = ("BACKFILL_MAX_GAP_MINUTES", "BACKFILL_SYMBOL_SLEEP_MS", "SYMBOLS", "TIMEFRAME", "API_KEY", "DATABASE_URL")
    assert [name for name in told if name not in done.stderr] == []
    assert "abc" not in done.stderr


def test_a_callers_own_options_beat_the_file(run: Run, store: CandleStore) -> None:
    done = run(sys.executable, "-m", "backfill.cli.main", "fill", "--symbols", "ETH-USDT")

    assert done.returncode == 0, done.stderr
    assert rows(store.connection, "SELECT DISTINCT symbol FROM backfill.ohlcv") == [("ETH-USDT",)]


@pytest.fixture
def cron(tmp_path: Path, environment: pytest.MonkeyPatch) -> tuple[Callable[..., int], Path]:
    """Runs the script with a `backfill` that says how it was called and ends with 3."""
    stand_in = tmp_path / "backfill"
    stand_in.write_text('#!/bin/sh\necho "called: $BACKFILL_PROFILE|$*"\n[ "$1" = migrate ] || exit 3\n')
    stand_in.chmod(0o755)
    environment.setenv("BACKFILL_COMMAND", str(stand_in))
    environment.setenv("BACKFILL_HOME", str(tmp_path / "home"))

    def call(*arguments: str) -> int:
        return subprocess.run(
            [ROOT / "scripts" / "run_backfill_cron.sh", *arguments], env=os.environ, check=False
        ).returncode

    return call, tmp_path / "home"


def test_the_cron_script_logs_and_ends_with_the_runs_code(cron: tuple[Callable[..., int], Path]) -> None:
    call, home = cron

    assert (call(), call("--timeframes", "1m")) == (3, 3)

    log = (home / "logs" / "backfill.log").read_text()
    assert "called: deep_history|fill\n" in log
    assert "called: |fill --timeframes 1m\n" in log
    assert log.count("ended with exit code 3") == 2


def test_the_cron_script_leaves_a_run_that_is_at_work_alone(cron: tuple[Callable[..., int], Path]) -> None:
    call, home = cron
    home.mkdir()
    with (home / "backfill.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert call() == 0
    assert "called" not in (home / "logs" / "backfill.log").read_text()

"""The command line as a person calls it: environment, universe file, a paper exchange at the real time of day."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from backfill.cli.main import main
from integration.exchange import PaperBlofin

UNIVERSE = "instruments: [BTC-USDT, ETH-USDT]\ntimeframes: {1m: 12h, 1h: 7d}\n"
PLUGINS = Path(__file__).parents[3] / "plugins"


class Said(NamedTuple):
    """What one call has said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def result(self) -> Any:
        """The document without what every command says."""
        return {name: value for name, value in self.document.items() if name not in ("command", "version")}


Cli = Callable[..., Said]


@pytest.fixture
def live_exchange(running_exchange: PaperBlofin) -> PaperBlofin:
    running_exchange.behave(now_ms=None)
    return running_exchange


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_uri: str, live_exchange: PaperBlofin
) -> pytest.MonkeyPatch:
    """The database, the universe and the exchange named by variables, and no other setting."""
    for name in [name for name in os.environ if name.startswith(("BACKFILL_", "AIRFLOW_CONN_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "universe.yaml").write_text(UNIVERSE)
    monkeypatch.setenv("BACKFILL_UNIVERSE", str(tmp_path / "universe.yaml"))
    monkeypatch.setenv("BACKFILL_DB", database_uri)
    monkeypatch.setenv("BACKFILL_ENV_FILE", os.devnull)  # not the developer's own
    monkeypatch.setenv("BACKFILL_BLOFIN_URL", live_exchange.url)
    return monkeypatch


@pytest.fixture
def cli(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Calls a command in this process."""

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as left:  # argparse's own way of refusing
            code = int(str(left.code))
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def start_cli(environment: pytest.MonkeyPatch) -> Callable[..., subprocess.Popen[str]]:
    """Starts a command in a process of its own."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "backfill.cli.main", *arguments],
            env={**os.environ, "PYTHONPATH": str(PLUGINS)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_signals,
        )

    return start


def _heed_signals() -> None:
    """What a shell runs in the background ignores SIGINT, what nohup runs SIGHUP, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

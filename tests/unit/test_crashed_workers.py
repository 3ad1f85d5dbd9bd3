"""Under a shifted clock a test whose worker died is run once more, and only once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from run_on_days import TESTS

DIES = """
import os
from pathlib import Path

def test_whose_worker_dies():
    seen = Path(__file__).with_suffix(".seen")
    deaths = len(seen.read_text()) if seen.exists() else 0
    seen.write_text("x" * (deaths + 1))
    if deaths < {deaths}:
        os._exit(139)

def test_beside_it():
    pass
"""
CONFTEST = """
from crashed_workers import RunCrashedTestOnceMore

def pytest_configure(config):
    config.pluginmanager.register(RunCrashedTestOnceMore())
"""


def run(folder: Path, deaths: int) -> tuple[int, str]:
    """The exit code and last line of a run of two tests, of which one kills its worker ``deaths`` times."""
    folder.joinpath("test_dies.py").write_text(DIES.format(deaths=deaths))
    folder.joinpath("conftest.py").write_text(CONFTEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist.plugin", "--numprocesses=1", f"--rootdir={folder}"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([*command, str(folder)], cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()[-1]


def test_a_test_whose_worker_died_is_run_once_more(tmp_path: Path) -> None:
    code, last_line = run(tmp_path, deaths=1)
    assert code == 0, last_line
    assert "2 passed" in last_line


def test_one_whose_second_worker_dies_too_has_failed(tmp_path: Path) -> None:
    code, last_line = run(tmp_path, deaths=2)
    assert code == 1, last_line
    assert "1 failed, 1 passed" in last_line

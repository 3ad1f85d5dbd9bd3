"""The whole demo, as a person starts it, on a small universe: one run cut by kill -9, and one more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import backfill
from backfill.local.airflow_settings import MARK
from backfill.local.down import remove_home
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.local.stack import stop_stack
from backfill.local.supervisor import marked_processes
from waiting import wait_for

UNIVERSE = """
instruments: [BTC-USDT, ETH-USDT, SOL-USDT]
timeframes: {1m: 2d, 1h: 7d}
sources: [blofin]
"""
# The universe's, and the two coins of the demo's story.
SERIES = 3 * 2 + 2
WITHIN_S = 900


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="candle-keeper-demo-"))
    folder.chmod(0o755)
    (folder / "universe.yaml").write_text(UNIVERSE)
    yield folder
    stop_stack(folder)
    remove_home(folder)
    shutil.rmtree(folder)


def start_demo(home: Path) -> subprocess.Popen[bytes]:
    ours = {
        "BACKFILL_HOME": str(home),
        "BACKFILL_UNIVERSE": str(home / "universe.yaml"),
        "PYTHONPATH": str(Path(backfill.__file__).parent.parent),
    }
    with (home / "demo.out").open("w") as output, (home / "demo.err").open("w") as errors:
        command = [sys.executable, "-m", "backfill.cli.main", "demo", "--once", "--json"]
        return subprocess.Popen(command, env={**os.environ, **ours}, stdout=output, stderr=errors)


def result_of(demo: subprocess.Popen[bytes], home: Path) -> dict[str, Any]:
    demo.wait(timeout=WITHIN_S)
    assert demo.returncode == 0, (home / "demo.err").read_text()
    result: dict[str, Any] = json.loads((home / "demo.out").read_text())
    return result


def busy_worker(home: Path, demo: subprocess.Popen[bytes]) -> psutil.Process:
    """One of Airflow's workers, as soon as it has a task in hand."""
    found: list[psutil.Process] = []

    def has_begun() -> bool:
        assert demo.poll() is None, (home / "demo.err").read_text()
        for process in marked_processes((MARK, str(home))):
            with suppress(psutil.NoSuchProcess):
                title = " ".join(process.cmdline())
                if "LocalExecutor" in title and "<idle>" not in title:
                    found.append(process)
        return bool(found)

    wait_for("a task to begin", has_begun, within_s=WITHIN_S, every_s=0.05)
    return found[0]


def test_a_demo_whose_worker_and_postgres_are_killed_ends_complete_and_a_second_one_inserts_nothing(
    home: Path,
) -> None:
    demo = start_demo(home)
    busy_worker(home, demo).kill()
    psutil.Process(int((EmbeddedPostgres(home).data / "postmaster.pid").read_text().split()[0])).kill()

    cut = result_of(demo, home)

    assert cut["state"] == "success"
    assert "synthetic" in cut["market"]
    assert (cut["totals"]["series"], cut["totals"]["missing"]) == (SERIES, 0)
    assert {series["after %"] for series in cut["series"]} == {100.0}
    found = "\n".join(cut["found"])
    assert "BTC-USDT 1m    1 hole, 300 bars: 300 from blofin" in found
    assert "NICHE-USDT 1m  filled from empty: 2,880 from bybit, its only source" in found
    assert [row["symbol"] for row in cut["revisions"]] == ["ETH-USDT"]
    assert len(cut["next"]) == 3
    assert marked_processes((MARK, str(home))) == []
    assert not EmbeddedPostgres(home).is_running()

    again = result_of(start_demo(home), home)

    assert [again["totals"][name] for name in ("series", "rows_inserted", "rows_revised")] == [SERIES, 0, 0]
    # Blofin is asked once more for the bars that another exchange stands in for.
    assert {series["symbol"] for series in again["series"] if series["requests"]} <= {"SOL-USDT"}
    assert again["found"] == [f"  nothing was missing: {SERIES} series were whole"]

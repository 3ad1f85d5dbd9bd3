"""A whole stack and ten days with holes: ``airflow backfill create`` catches them up, Fill of the pages a later one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_line import ON_AIRFLOW_2
from backfill.config.settings import load_settings
from backfill.local.down import remove_home
from backfill.local.scenario import Scenario
from backfill.local.stack import Stack, running_stack
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.database import connect
from browser import chromium
from integration.ten_days import DAYS, FIRST_DAY, LAST_DAY, assert_caught_up, days_by_start, fill_and_tear
from waiting import wait_for

DAG_ID = "candles_catch_up"
WITHIN_S = 1800
LOOK_EVERY_S = 0.5

LOSE_HALF_AN_HOUR = """
DELETE FROM backfill.candles AS c USING backfill.series AS s, backfill.instruments AS i
WHERE s.id = c.series_id AND i.id = s.instrument_id AND i.symbol = 'ETH-USDT' AND s.timeframe = '1m'
  AND open_time >= %(start)s AND open_time < %(end)s
"""

pytestmark = pytest.mark.skipif(ON_AIRFLOW_2, reason="Airflow 2 has another command")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Everything in a folder of its own with a short name; the universe is ``universe.yaml`` in it."""
    home = Path(tempfile.mkdtemp(prefix="candle-keeper-range-"))
    home.chmod(0o755)
    universe = home / "universe.yaml"
    settings = load_settings({"BACKFILL_HOME": str(home), "BACKFILL_UNIVERSE": str(universe)})
    scenario = Scenario(
        "a synthetic market", "candles", SyntheticMarket(), ("blofin",), {"BACKFILL_UNIVERSE": str(universe)}
    )
    with running_stack(settings, scenario, print) as running:
        yield running
    remove_home(home)
    shutil.rmtree(home)


def test_a_backfill_of_ten_days_ends_with_all_of_them_whole_the_newest_first(stack: Stack) -> None:
    exchange = stack.exchanges["blofin"]
    lost = fill_and_tear(stack.database, exchange, stack.home / "universe.yaml")
    stack.wait_until_ready(DAG_ID)
    stack.airflow.unpause(DAG_ID)

    began = time.monotonic()
    dates = ("--from-date", f"{FIRST_DAY:%Y-%m-%d}", "--to-date", f"{LAST_DAY:%Y-%m-%d}")
    # Of the runs that are active at once the older one's tasks go first: the fewer they are, the more does order count.
    order = ("--run-backwards", "--max-active-runs", "4")
    command = [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", DAG_ID, *dates, *order]
    environment = stack.supervisor.components[0].environment
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr

    def all_have_ended() -> bool:
        stack.supervisor.check()
        return not stack.airflow.unfinished_runs(DAG_ID)

    wait_for("the ten days' runs to end", all_have_ended, within_s=WITHIN_S, every_s=LOOK_EVERY_S)
    print(f"ten days in {time.monotonic() - began:.0f} s")

    with connect(stack.database) as connection:
        assert_caught_up(connection, exchange, lost)
        days = days_by_start(connection)
    assert sorted(days) == list(range(len(DAYS)))
    assert sum(days[:3]) > sum(days[-3:])


@pytest.mark.skipif(not chromium.is_here(), reason="needs tests/browser/install.sh")
def test_a_person_signs_in_and_fills_a_gap_from_the_pages(stack: Stack) -> None:
    stack.wait_until_ready(DAG_ID)
    with connect(stack.database) as connection:
        lost = connection.execute(LOSE_HALF_AN_HOUR, {"start": DAYS[-1], "end": DAYS[-1] + timedelta(minutes=30)})
    assert lost.rowcount == 30
    login = stack.airflow.login

    (done,) = chromium.node(
        "airflow.mjs", stack.airflow.url, login.user, login.password, chromium.screenshots(), "ETH-USDT"
    )

    assert done == {"gap": "Fill ETH-USDT 1m from 2025-03-10 00:00", "violations": [], "faults": []}

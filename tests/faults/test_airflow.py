"""Faults of Airflow in mid-run: each run ends whole, with every candle as the market has it.

Those of Celery run in .venv-celery: `make test-faults` does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from airflow_line import ON_AIRFLOW_2
from backfill.config.settings import load_settings
from backfill.errors import ConfigurationError, LocalStackFailed
from backfill.local.airflow_api import DagRun
from backfill.local.airflow_settings import MARK
from backfill.local.demo import DAG_ID
from backfill.local.down import remove_home
from backfill.local.executor import require_celery
from backfill.local.scenario import Scenario
from backfill.local.stack import Stack, running_stack
from backfill.local.supervisor import Component, marked_processes
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.series import Selection
from faults.render import AIRFLOW_FAULTS, ALL_OF_AIRFLOW, CELERY_FAULTS
from integration.exchange import candles_in_database, candles_in_market
from integration.helpers import assert_held_is_true, rows
from waiting import wait_for

pytestmark = [pytest.mark.slow_faults, pytest.mark.skipif(ON_AIRFLOW_2, reason="the stack is Airflow 3's")]

RESULTS = Path(os.environ.get("FAULT_RESULTS", "dist/faults"))
MARKET = SyntheticMarket(coins=LIQUID_COINS[:2])
UNIVERSE = "instruments: [BTC-USDT, ETH-USDT]\ntimeframes: {1m: 12h, 1h: 2d}\nsources: [blofin]\n"
# Twelve pages of each symbol, one after another: some seconds in which something can happen.
SLOWLY = {"BACKFILL_BATCH_LIMIT": "60", "BACKFILL_PAGES_IN_FLIGHT": "1"}
LATENCY_MS = 700
# The title of a task's own process.
TASK = "airflow worker -- "
WITHIN_S = 900


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with _stack() as running:
        yield running


@pytest.fixture(scope="module")
def celery_stack() -> Iterator[Stack]:
    try:
        require_celery()
    except ConfigurationError as missing:
        pytest.skip(str(missing))
    with _stack(celery_workers=2) as running:
        yield running


@contextmanager
def _stack(celery_workers: int = 0) -> Iterator[Stack]:
    home = Path(tempfile.mkdtemp(prefix="candle-keeper-faults-"))
    home.chmod(0o755)
    universe = home / "universe.yaml"
    universe.write_text(UNIVERSE)
    environment = {"BACKFILL_UNIVERSE": str(universe), **SLOWLY}
    settings = load_settings({"BACKFILL_HOME": str(home), "BACKFILL_UNIVERSE": str(universe)})
    scenario = Scenario("a synthetic market", "candles", MARKET, ("blofin",), environment)
    with running_stack(settings, scenario, print, celery_workers) as running:
        running.exchanges["blofin"].latency_ms = LATENCY_MS
        running.wait_until_ready(DAG_ID)
        running.airflow.unpause(DAG_ID)
        yield running
    remove_home(home)
    shutil.rmtree(home)


def _killed(name: str) -> Callable[[Stack, DagRun], None]:
    def kill(stack: Stack, _: DagRun) -> None:
        (component,) = (one for one in stack.supervisor.components if one.name == name)
        assert component.process is not None
        component.process.kill()

    return kill


def _kill_a_busy_celery_worker(stack: Stack, _: DagRun) -> None:
    """With all that it has started, as if its machine were gone: it is not started again."""
    workers = [one for one in stack.supervisor.components if one.name.startswith("worker-")]
    busy = next(one for one in workers if any(TASK in " ".join(process.cmdline()) for process in _tree(one)))
    stack.supervisor._watched.remove(busy)
    for process in _tree(busy):
        process.kill()


def _tree(component: Component) -> list[psutil.Process]:
    assert component.process is not None
    leader = psutil.Process(component.process.pid)
    return [leader, *leader.children(recursive=True)]


def _kill_busy_workers(stack: Stack, _: DagRun) -> None:
    for process in marked_processes((MARK, str(stack.home.resolve()))):
        with suppress(psutil.NoSuchProcess):
            title = " ".join(process.cmdline())
            if "LocalExecutor" in title and "<idle>" not in title:
                for one in (process, *process.children(recursive=True)):
                    one.kill()


def _clear(stack: Stack, run: DagRun) -> None:
    asked = {"dry_run": False, "only_failed": False, "dag_run_id": run.run_id, "task_ids": ["fill_from_blofin"]}
    stack.airflow._ask("POST", f"/api/v2/dags/{DAG_ID}/clearTaskInstances", json=asked)


def _run_twice_more(stack: Stack, _: DagRun) -> None:
    """The Dag once more, and the command line at the same time."""
    stack.airflow.trigger(DAG_ID)
    environment = {**stack.supervisor.components[0].environment, "BACKFILL_DB": stack.database}
    beside = subprocess.run([sys.executable, "-m", "backfill.cli.main", "fill"], env=environment, check=False)
    assert beside.returncode == 0


MADE = {
    "task killed with SIGKILL": _kill_busy_workers,
    "scheduler killed with SIGKILL": _killed("scheduler"),
    "triggerer killed with SIGKILL": _killed("triggerer"),
    "task cleared while it runs": _clear,
    "a second run, and `backfill fill` beside it": _run_twice_more,
    "Redis killed with SIGKILL": _killed("redis"),
    "a Celery worker killed with SIGKILL": _kill_a_busy_celery_worker,
}


@pytest.mark.parametrize("fault", AIRFLOW_FAULTS)
def test_after_a_fault_of_airflow_the_run_ends_whole(stack: Stack, fault: str) -> None:
    _assert_it_ends_whole(stack, fault)


@pytest.mark.parametrize("fault", CELERY_FAULTS)
def test_after_a_fault_of_celery_the_run_ends_whole(celery_stack: Stack, fault: str) -> None:
    _assert_it_ends_whole(celery_stack, fault)


def _assert_it_ends_whole(stack: Stack, fault: str) -> None:
    with connect(stack.database) as connection:
        connection.execute("DELETE FROM backfill.candles")
        (last,) = rows(connection, "SELECT coalesce(max(id), 0) FROM backfill.gap_fill_runs")
        run = stack.airflow.trigger(DAG_ID)
        at_work = "SELECT FROM backfill.gap_fill_runs WHERE id > %s AND status = 'running' AND rows_inserted > 0"
        wait_for("the run to be at work", lambda: rows(connection, at_work, last), within_s=WITHIN_S)
        MADE[fault](stack, run)
        wait_for("all runs to end", lambda: _have_ended(stack), within_s=WITHIN_S, every_s=0.5)

        state = stack.airflow.dag_run(DAG_ID, run.run_id).state
        with CandleStore(connect(stack.database)) as store:
            store.run_log.abandon_dead_runs()
            windows = store.windows(Selection(store.now(), 5000, to_ms=round(run.run_after.timestamp() * 1000) - 5000))
            missing = sum(store.open_work(window).missing_candles for window in windows)
            for window in windows:
                exist = candles_in_market(MARKET, window)
                bars = candles_in_database(store, window)  # of later runs too
                stored = [bar for bar in bars if window.start_ms <= bar[0] < window.end_ms]
                assert stored == exist, f"{window.symbol} {window.timeframe}"
        assert_held_is_true(connection)
        runs = dict(
            rows(connection, "SELECT status, count(*)::int FROM backfill.gap_fill_runs WHERE id > %s GROUP BY 1", last)
        )
    tries = _tries(stack, run)
    assert (state, missing, "running" in runs) == ("success", 0, False)
    RESULTS.mkdir(parents=True, exist_ok=True)
    outcome = {"group": "Airflow", "fault": fault, "state": state, "tries": tries, "missing": missing, "runs": runs}
    (RESULTS / f"airflow_{ALL_OF_AIRFLOW.index(fault)}.json").write_text(json.dumps(outcome, indent=1) + "\n")


def _have_ended(stack: Stack) -> bool:
    stack.supervisor.check()
    with suppress(LocalStackFailed):
        return not stack.airflow.unfinished_runs(DAG_ID)
    return False


def _tries(stack: Stack, run: DagRun) -> int:
    """The most that any task of the run took."""
    path = f"/api/v2/dags/{DAG_ID}/dagRuns/{run.run_id}/taskInstances"
    return max(one["try_number"] for one in stack.airflow._ask("GET", path, params={"limit": 100})["task_instances"])

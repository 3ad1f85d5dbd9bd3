"""The anatomy of runs of ``candles_fill_gaps`` in Airflow: tasks, seconds and CPU of each kind, requests.

A made-up market on paper exchanges without latency, each symbol with a week of 1m: a first fill, a run with nothing to
do, and a run half an hour later in which each series lacks one page. CPU is of Airflow's processes without the API
server and the Dag processor.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psutil
from throw_away import throw_away_home

from backfill.config.settings import load_settings
from backfill.errors import LocalStackFailed
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.local.scenario import Scenario
from backfill.local.stack import AIRFLOW_DATABASE, Stack, running_stack
from backfill.paper.coins import LIQUID_COINS, made_up_coins
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.database import connect

DAG_ID = "candles_fill_gaps"
RUN_WITHIN_S = 900
NEW_YEAR_2025_MS = 1_735_689_600_000
TASKS = """
SELECT task_id, state, count(*), round(avg(extract(epoch FROM end_date - start_date))::numeric, 2)
FROM task_instance WHERE run_id = %s GROUP BY 1, 2 ORDER BY min(start_date)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=32)
    parser.add_argument("--history", default="7d", help="of 1m, as the universe file says it")
    symbols, history = parser.parse_args().symbols, parser.parse_args().history
    made_up = made_up_coins(max(0, symbols - len(LIQUID_COINS)), as_of_ms=NEW_YEAR_2025_MS)
    coins = [*LIQUID_COINS, *made_up][:symbols]
    with throw_away_home() as home:
        universe = home / "universe.yaml"
        names = [coin.instrument.symbol for coin in coins]
        universe.write_text(
            json.dumps({"instruments": names, "timeframes": {"1m": history}, "sources": ["blofin", "okx"]})
        )
        scenario = Scenario(
            "paper",
            "candles",
            SyntheticMarket(coins=coins),
            ("blofin", "okx"),
            {"BACKFILL_UNIVERSE": str(universe), "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"},
        )
        try:
            with running_stack(load_settings({"BACKFILL_HOME": str(home)}), scenario, print) as stack:
                stack.wait_until_ready(DAG_ID)
                stack.airflow.unpause(DAG_ID)
                end = datetime.now(timezone.utc) - timedelta(minutes=40)
                _run("a first fill", stack, home, end)
                _run("nothing to do", stack, home, end)
                _run("half an hour later, one page a symbol", stack, home, end + timedelta(minutes=30))
        finally:
            EmbeddedPostgres(home).remove()


def _run(what: str, stack: Stack, home: Path, end: datetime) -> None:
    cpu_before, began = _cpu_s(home), time.monotonic()
    run = stack.airflow.trigger(DAG_ID, {"end": end.isoformat()})
    while not run.has_ended and time.monotonic() < began + RUN_WITHIN_S:
        time.sleep(0.25)
        stack.supervisor.check()
        with suppress(LocalStackFailed):  # too busy to tell
            run = stack.airflow.dag_run(DAG_ID, run.run_id)
    took_s, cpu_s = time.monotonic() - began, _cpu_s(home) - cpu_before
    with connect(EmbeddedPostgres(home).uri(AIRFLOW_DATABASE)) as connection:
        rows = connection.execute(TASKS, (run.run_id,)).fetchall()
    tasks = sum(count for _, _, count, _ in rows)
    load = os.getloadavg()[0]
    cpu = f"{cpu_s:.1f} s of CPU ({cpu_s / tasks:.2f} a task)"
    print(f"{what}: {run.state} after {took_s:.1f} s, {tasks} tasks, {cpu}, load {load:.1f}")
    for task_id, state, count, seconds in rows:
        print(f"  {count:4} {task_id:20}{state:10}{seconds or 0:6} s each")


def _cpu_s(home: Path) -> float:
    """Of the scheduler, its workers and all their tasks."""
    total = 0.0
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            words = process.cmdline()
            if process.environ().get("CANDLE_KEEPER_HOME") != str(home.resolve()):
                continue
            if any(word in ("scheduler", "triggerer") or "LocalExecutor" in word for word in words):
                times = process.cpu_times()
                total += times.user + times.system
                total += times.children_user + times.children_system if "LocalExecutor" in " ".join(words) else 0
    return total


if __name__ == "__main__":
    main()

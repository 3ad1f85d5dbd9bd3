"""The anatomy of runs of ``candles_fill_gaps`` in Airflow: tasks, seconds and CPU of each kind, requests.

A made-up market on paper exchanges without latency, each symbol with a week of 1m: a first fill, a run with nothing to
do, a run half an hour later in which each series lacks one page, one that compares the newest page only, as all do once
older ones have been compared (seventeen hours after the first fill), and one of sixteen symbols with an instance each,
which prints what of an instance's CPU is its own and what its symbols'. Before them a Dag whose tasks do nothing, with
one mapped instance a symbol: what Airflow itself costs here. ``--short`` plays the first fill, three hours of 1m unless
``--history`` says otherwise, and the run half an hour later only: 311 symbols in minutes.

The CPU of a run is that of Airflow's processes without the API server and the Dag processor; that of a task is what its
worker and the task's own process have used, looked at ten times a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import psutil
from psycopg.rows import tuple_row
from throw_away import throw_away_home

from backfill.config.settings import load_settings
from backfill.errors import LocalStackFailed
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.local.scenario import Scenario
from backfill.local.stack import AIRFLOW_DATABASE, Stack, running_stack
from backfill.paper.coins import LIQUID_COINS, made_up_coins
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.database import connect

DAGS = Path(__file__).parents[1] / "dags"
DAG_ID = "candles_fill_gaps"
NO_OP = "no_op"
NO_OP_DAG = """
from airflow.sdk import dag, task

@dag(schedule=None, params={"instances": 1})
def no_op():
    @task
    def list_instances(params):
        return list(range(params["instances"]))

    @task
    def mapped(one):
        pass

    mapped.expand(one=list_instances())

no_op()
"""
PARSE = """
import sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
before, began = set(sys.modules), time.perf_counter()
DagBag(sys.argv[1])
took_s, more = time.perf_counter() - began, set(sys.modules) - before
heavy = sorted({"ccxt", "numpy", "pandas", "psycopg", "requests"} & more)
print(f"{took_s:.2f} s, {len(more)} modules more than Airflow's, heavy ones: {', '.join(heavy) or 'none'}")
"""
RUN_WITHIN_S = 900
ALONE = 16  # at most so many symbols have an instance each
SAMPLE_EVERY_S = 0.1
NEW_YEAR_2025_MS = 1_735_689_600_000
TASKS = """
SELECT id, task_id, state, extract(epoch FROM end_date - start_date)::float FROM task_instance
WHERE run_id = %s ORDER BY start_date
"""
REQUESTS = "SELECT sum(requests) FROM backfill.gap_fill_runs WHERE run_id = %s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=32)
    parser.add_argument("--history", help="of 1m, as the universe file says it (default: 7d, with --short 3h)")
    parser.add_argument("--short", action="store_true", help="a first fill and the run half an hour later only")
    arguments = parser.parse_args()
    symbols, is_short = arguments.symbols, arguments.short
    history = arguments.history or ("3h" if is_short else "7d")
    made_up = made_up_coins(max(0, symbols - len(LIQUID_COINS)), as_of_ms=NEW_YEAR_2025_MS)
    coins = [*LIQUID_COINS, *made_up][:symbols]
    with throw_away_home() as home:
        universe = home / "universe.yaml"
        names = [coin.instrument.symbol for coin in coins]
        declared = {"instruments": names, "timeframes": {"1m": history}, "sources": ["blofin", "okx"]}
        universe.write_text(json.dumps(declared))
        scenario = Scenario(
            "paper",
            "candles",
            SyntheticMarket(coins=coins),
            ("blofin", "okx"),
            {
                "BACKFILL_UNIVERSE": str(universe),
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
                "AIRFLOW__CORE__DAGS_FOLDER": str(_dags_and_no_op(home)),
            },
        )
        try:
            with running_stack(load_settings({"BACKFILL_HOME": str(home)}), scenario, print) as stack:
                _print_parse(home)
                for dag_id in (NO_OP, DAG_ID):
                    stack.wait_until_ready(dag_id)
                    stack.airflow.unpause(dag_id)
                bench = Bench(stack, home)
                end = datetime.now(timezone.utc) - timedelta(minutes=100)
                bench.run("no-op", {"instances": 2}, NO_OP)  # the first run of a stack is slower
                no_op = bench.run("no-op", {"instances": ALONE if is_short else symbols}, NO_OP)
                bench.run("a first fill", {"end": end.isoformat()}).compare(no_op)
                if not is_short:
                    bench.run("nothing to do", {"end": end.isoformat()}).compare(no_op)
                end += timedelta(minutes=30)
                batches = bench.run("half an hour later, one page a symbol", {"end": end.isoformat()})
                batches.compare(no_op)
                if not is_short:
                    universe.write_text(json.dumps({**declared, "validation": {"every": False}}))
                    end += timedelta(minutes=30)
                    bench.run("half an hour later, all old pages compared", {"end": end.isoformat()}).compare(no_op)
                    universe.write_text(json.dumps(declared))
                    end += timedelta(minutes=30)
                    some: dict[str, object] = {"end": end.isoformat(), "symbols": names[:ALONE]}
                    alone = bench.run(f"another half hour later, {ALONE} symbols of them", some)
                    batches.split(alone, no_op, symbols)
        finally:
            EmbeddedPostgres(home).remove()


def _dags_and_no_op(home: Path) -> Path:
    folder = home / "dags"
    folder.mkdir()
    for file in DAGS.glob("*.py"):
        (folder / file.name).symlink_to(file)
    (folder / "no_op.py").write_text(NO_OP_DAG)
    return folder


def _print_parse(home: Path) -> None:
    """What a process without the preload takes to read the Dag file."""
    command = [sys.executable, "-c", PARSE, str(DAGS / f"{DAG_ID}.py")]
    environment = {**os.environ, "AIRFLOW_HOME": str(home / "airflow")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    print(f"the Dag file in a fresh process: {done.stdout.splitlines()[-1]}")


@dataclass(frozen=True)
class Anatomy:
    """``cpu_s``: CPU of one instance by task; ``instances``: how many it has."""

    tasks: int
    total_cpu_s: float
    cpu_s: dict[str, float]
    instances: dict[str, int]

    def split(self, alone: Anatomy, no_op: Anatomy, symbols: int) -> None:
        """Print what an instance costs whatever it does, and what each of its symbols adds."""
        for task in ("fill_from_blofin", "validate"):
            at_once, batch = symbols / self.instances[task], self.cpu_s[task]
            if at_once > 1:
                each = (batch - alone.cpu_s[task]) / (at_once - 1)
                fixed = alone.cpu_s[task] - each
                of_no_op = f"{fixed / no_op.cpu_s['mapped']:.1f} times a mapped no-op's"
                print(f"  an instance of {task}: {fixed:.2f} s of CPU, {of_no_op}, and {each:.3f} s a symbol")

    def compare(self, no_op: Anatomy) -> None:
        instance_cpu_s = no_op.cpu_s["mapped"]
        per_task = (self.total_cpu_s / self.tasks) / (no_op.total_cpu_s / no_op.tasks)
        kinds = ", ".join(f"{task} {cpu_s / instance_cpu_s:.1f}" for task, cpu_s in self.cpu_s.items())
        print(f"  to the no-op: {per_task:.2f} x its CPU a task; a task's own CPU to a mapped no-op's: {kinds}")


class Bench:
    """Runs of one stack."""

    def __init__(self, stack: Stack, home: Path) -> None:
        self.stack = stack
        self.home = home

    def run(self, what: str, conf: dict[str, object], dag_id: str = DAG_ID) -> Anatomy:
        """Trigger a run, wait for its end, and print what it took."""
        airflow = self.stack.airflow
        cpu_before, began = _cpu_s(self.home), time.monotonic()
        with WorkerCpu(self.home) as by_instance:
            run = airflow.trigger(dag_id, conf)
            while not run.has_ended and time.monotonic() < began + RUN_WITHIN_S:
                time.sleep(0.25)
                self.stack.supervisor.check()
                with suppress(LocalStackFailed):  # too busy to tell
                    run = airflow.dag_run(dag_id, run.run_id)
        took_s, total_cpu_s = time.monotonic() - began, _cpu_s(self.home) - cpu_before
        server = EmbeddedPostgres(self.home)
        with connect(server.uri(AIRFLOW_DATABASE)) as connection, connection.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(TASKS, (run.run_id,)).fetchall()
        with connect(server.uri("candles")) as connection, connection.cursor(row_factory=tuple_row) as cursor:
            (requests,) = cursor.execute(REQUESTS, (run.run_id,)).fetchone() or (0,)
        load = os.getloadavg()[0]
        cpu = f"{total_cpu_s:.1f} s of CPU ({total_cpu_s / len(rows):.2f} a task)"
        asked = "" if dag_id == NO_OP else f"{requests or 0} requests, "
        print(f"{what}: {run.state} after {took_s:.1f} s, {len(rows)} tasks, {asked}{cpu}, load {load:.1f}")
        kinds: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for instance, task_id, state, seconds in rows:
            kinds[task_id, state].append((seconds or 0.0, by_instance.get(instance, 0.0)))
        for (task_id, state), costs in kinds.items():
            seconds, cpu_s = (sum(column) / len(costs) for column in zip(*costs, strict=True))
            print(f"  {len(costs):4} {task_id:20}{state:10}{seconds:6.2f} s and {cpu_s:5.2f} s of CPU each")
        own = {task_id: sum(cpu for _, cpu in costs) / len(costs) for (task_id, _), costs in kinds.items()}
        counts = {task_id: len(costs) for (task_id, _), costs in kinds.items()}
        return Anatomy(len(rows), total_cpu_s, {task_id: mean for task_id, mean in own.items() if mean}, counts)


class WorkerCpu:
    """While it is open, the CPU seconds of each task instance by its id.

    A worker of the LocalExecutor runs one instance at a time, in a child that bears the instance's id as its title.
    What the worker uses before the child has its title counts for it too, and what it uses until the next one's.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._by_instance: dict[UUID, float] = defaultdict(float)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> dict[UUID, float]:
        self._thread.start()
        return self._by_instance

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        counted_s: dict[int, float] = {}
        last: dict[int, UUID] = {}
        while not self._stop.wait(SAMPLE_EVERY_S):
            for worker in _processes(self._home, "LocalExecutor"):
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    used_s, is_idle = _cpu_with_children_s(worker), "<idle" in " ".join(worker.cmdline())
                    instance = _instance_of(worker) or (last.get(worker.pid) if is_idle else None)
                    counted_s.setdefault(worker.pid, used_s)
                    if instance is not None:
                        self._by_instance[instance] += used_s - counted_s[worker.pid]
                        counted_s[worker.pid], last[worker.pid] = used_s, instance


def _instance_of(worker: psutil.Process) -> UUID | None:
    for child in worker.children():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, ValueError, IndexError):
            return UUID(" ".join(child.cmdline()).split()[-1])
    return None


def _processes(home: Path, *words: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            title = process.cmdline()
            if not any(word in part for word in words for part in title):
                continue
            if process.environ().get("CANDLE_KEEPER_HOME") == str(home.resolve()):
                found.append(process)
    return found


def _cpu_with_children_s(process: psutil.Process) -> float:
    """Its own, and of its children that have ended."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def _cpu_s(home: Path) -> float:
    """Of the scheduler, its workers and all their tasks."""
    total = 0.0
    for process in _processes(home, "scheduler", "triggerer", "LocalExecutor"):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = process.cpu_times()
            is_worker = "LocalExecutor" in " ".join(process.cmdline())
            total += _cpu_with_children_s(process) if is_worker else times.user + times.system
    return total


if __name__ == "__main__":
    main()

"""Two years of 1m of one symbol: how much memory does the task need?

The tasks run as Airflow would run them: ``BlofinCandlesOperator``, then ``ValidateOperator``, each in a process of its
own that imports Airflow; beside them the same fill without Airflow. The paper exchanges (Blofin and Bybit) have a
process of their own too, and their real limits. Beside the minutes the days are kept, so that the first validation, a
thorough one, has something to add up to. The peak is the process's own (``ru_maxrss``): all that it ever had in
memory at once, libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import requests
from throw_away import paper_exchanges, throw_away_database, throw_away_home

from backfill.domain.timeframes import DAY_MS, MINUTE_MS
from backfill.storage.database import connect, fetch_one

SYMBOL = "BTC-USDT"
MOST_MIB = 300
TASKS = {"fill": "BlofinCandlesOperator", "validate": "ValidateOperator"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=730, help="of history (%(default)s)")
    parser.add_argument("--work", choices=(*TASKS, "import", "job"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        _work(arguments.work)
        return
    with throw_away_home() as home, paper_exchanges("blofin", "bybit", options=("--instruments", "4")) as urls:
        history = f"{arguments.days}d"
        universe = {
            "instruments": [SYMBOL],
            "timeframes": {"1m": history, "1d": {"history": history, "roll_up": False}},
            "sources": [*urls],
        }
        (home / "universe.yaml").write_text(json.dumps(universe))
        ours = {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "BACKFILL_UNIVERSE": str(home / "universe.yaml"),
            **{f"BACKFILL_{name.upper()}_URL": url for name, url in urls.items()},
        }
        print(f"{SYMBOL}, {arguments.days} days of 1m and 1d; aim: below {MOST_MIB} MiB")
        _tell("imports alone, nothing done", _run("import", ours))
        for works in (["job"], ["fill", "validate"]):
            with throw_away_database() as database:
                for url in urls.values():  # a new database remembers no request, so nor may they
                    requests.post(f"{url}/paper/limits/reset", timeout=10).raise_for_status()
                for work in works:
                    done = _run(work, {**ours, "BACKFILL_DB": database, "AIRFLOW_CONN_CANDLES_DB": database})
                    _tell(TASKS.get(work, "the same fill without Airflow"), done)
                _check(database, arguments.days)


def _tell(what: str, done: dict[str, Any]) -> None:
    print(f"  {what:32}{done['peak_mib']:6.0f} MiB, {done['seconds']:5.0f} s, {done['requests']:6,} requests")
    assert done["peak_mib"] < MOST_MIB, what


def _check(database: str, days: int) -> None:
    with connect(database) as connection:
        stored = fetch_one(connection, "SELECT count(*) FROM candles")[0]
    assert stored >= days * DAY_MS // MINUTE_MS, f"{stored:,} candles"


# -- in the task's process -----------------------------------------------------------------------------------


def _run(work: str, ours: dict[str, str]) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BACKFILL_", "AIRFLOW"))}
    ended = subprocess.run(
        [sys.executable, str(Path(__file__)), "--work", work],
        env={**kept, **ours},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    done: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return done


def _work(work: str) -> None:
    began = time.perf_counter()
    reports = _job() if work == "job" else _task(work)
    told = {
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "seconds": time.perf_counter() - began,
        "requests": sum(report["requests"] for report in reports),
    }
    print(json.dumps(told))


def _job() -> list[dict[str, Any]]:
    """What BlofinCandlesOperator does, from a plain Python."""
    from backfill.config.connections import database_uri, source_from_environment
    from backfill.config.settings import load_settings
    from backfill.jobs.fill.fill_universe import fill_series, windows_to_fill
    from backfill.sources.runtime import Runtime
    from backfill.storage.gap_fill_log import RunIdentity

    who = RunIdentity("candles_fill_gaps", "benchmark", "fill_from_blofin")
    with Runtime(database_uri(), load_settings(), source_from_environment) as runtime:
        windows = windows_to_fill(runtime, symbols=[SYMBOL])
        return [report.as_dict() for report in fill_series(runtime, windows, who, only=["blofin"])]


def _task(work: str) -> list[dict[str, Any]]:
    from airflow.sdk import Context

    from backfill.operators.blofin_candles import BlofinCandlesOperator
    from backfill.operators.validate import ValidateOperator

    ti = SimpleNamespace(dag_id="candles_fill_gaps", run_id="benchmark", task_id=work, map_index=-1, try_number=1)
    context = cast("Context", {"ti": ti})
    if work == "import":
        from backfill.hooks import runtime_hook  # noqa: F401
        from backfill.jobs.fill import fill_universe  # noqa: F401
        from backfill.jobs.validate import validate_universe  # noqa: F401

        return []
    if work == "fill":
        return BlofinCandlesOperator(task_id=work, symbol=SYMBOL).execute(context)
    return ValidateOperator(task_id=work, symbol=SYMBOL, thorough=True).execute(context)


if __name__ == "__main__":
    main()

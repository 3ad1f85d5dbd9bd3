"""A first fill by 1, 2 and 4 Celery workers on this machine: seconds, candles a second, times as fast as one worker.

A made-up market on a paper Blofin that waits before each answer; each symbol has a week of 1m. One stack after another
on one Postgres, each with a Redis of its own and two slots a worker. `make demo-celery` makes the venv that it needs:

    .venv-celery/bin/python benchmarks/celery_workers.py
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from throw_away import throw_away_home

from backfill.config.settings import load_settings
from backfill.errors import LocalStackFailed
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.local.scenario import Scenario
from backfill.local.stack import Stack, running_stack
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.database import connect, fetch_one

DAG_ID = "candles_fill_gaps"
BARS = 7 * 1440
RUN_WITHIN_S = 900


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--symbols", type=int, default=32, choices=range(1, len(LIQUID_COINS) + 1), metavar="N")
    parser.add_argument("--latency-ms", type=float, default=300.0)
    arguments = parser.parse_args()
    coins = LIQUID_COINS[: arguments.symbols]
    first_s = None
    with throw_away_home() as home:
        universe = home / "universe.yaml"
        names = [coin.instrument.symbol for coin in coins]
        universe.write_text(json.dumps({"instruments": names, "timeframes": {"1m": "7d"}, "sources": ["blofin"]}))
        scenario = Scenario(
            "paper", "candles", SyntheticMarket(coins=coins), ("blofin",), {"BACKFILL_UNIVERSE": str(universe)}
        )
        try:
            for workers in arguments.workers:
                seconds = _fill(home, scenario, workers, arguments.latency_ms)
                first_s = first_s or seconds
                print(
                    f"{workers} workers: {seconds:6.1f} s, {len(coins) * BARS / seconds:7,.0f} candles/s, "
                    f"{first_s / seconds:.2f} x, load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
        finally:
            EmbeddedPostgres(home).remove()


def _fill(home: Path, scenario: Scenario, workers: int, latency_ms: float) -> float:
    """Seconds of the second run from empty: the first one warms the workers up."""
    with running_stack(load_settings({"BACKFILL_HOME": str(home)}), scenario, print, workers) as stack:
        stack.exchanges["blofin"].latency_ms = latency_ms
        stack.wait_until_ready(DAG_ID)
        stack.airflow.unpause(DAG_ID)
        _run(stack)
        return _run(stack)


def _run(stack: Stack) -> float:
    with connect(stack.database) as connection:
        connection.execute("TRUNCATE candles, absences, rate_budgets")
    stack.exchanges["blofin"].reset_limits()
    began = time.monotonic()
    run = stack.airflow.trigger(DAG_ID)
    while not run.has_ended and time.monotonic() < began + RUN_WITHIN_S:
        time.sleep(0.25)
        stack.supervisor.check()
        with suppress(LocalStackFailed):  # too busy to answer
            run = stack.airflow.dag_run(DAG_ID, run.run_id)
    took_s = time.monotonic() - began
    assert run.state == "success", (run, stack.airflow.failed_tasks(DAG_ID, run.run_id))
    with connect(stack.database) as connection:
        (stored,) = fetch_one(connection, "SELECT count(*) FROM candles")
    symbols = len(stack.exchanges["blofin"].market.instruments)
    assert abs(stored - symbols * BARS) <= symbols, stored
    return took_s


if __name__ == "__main__":
    main()

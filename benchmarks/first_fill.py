"""A first fill: 32 symbols x 7 days of 1m from empty, from a paper exchange that waits 40 ms before each answer.

Beside each other, in turn: the command line, Airflow (from the trigger to the run's end), and the walk that came
before them: one symbol after the other, page after page of 300 rows, with the pauses it was configured with. It is
walked for a few symbols only and reckoned up to all of them. The exchange's limits hold for everyone, and Airflow's
processes are up all the time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import requests
from throw_away import Stopwatch, paper_exchanges, spread, throw_away_home

from backfill.config.settings import load_settings
from backfill.config.universe_file import declared_series, load_universe
from backfill.domain.timeframes import DAY_MS, MINUTE_MS
from backfill.errors import LocalStackFailed
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.local.scenario import Scenario
from backfill.local.stack import Stack, running_stack
from backfill.storage.database import Connection, connect, fetch_one

DAG_ID = "candles_fill_gaps"
LATENCY_MS = 40
SYMBOLS = 32
WEEK_MS, BARS = 7 * DAY_MS, 7 * 1440
RUN_WITHIN_S = 600

# The older system's BACKFILL_BATCH_LIMIT, BACKFILL_REQUEST_SLEEP_MS and BACKFILL_SYMBOL_SLEEP_MS.
WALK_ROWS, REQUEST_SLEEP_S, SYMBOL_SLEEP_S = 300, 0.25, 0.5
CREATE_PLAIN = """
CREATE TABLE plain (symbol text, ts_ms bigint, open float8, high float8, low float8, close float8, volume float8,
                    PRIMARY KEY (symbol, ts_ms))
"""

CLI, AIRFLOW, WALK = "backfill fill", "Airflow, from the trigger to the end", "the sequential walk"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--walked", type=int, default=2, choices=range(1, 9), metavar="1..8", help="symbols walked")
    arguments = parser.parse_args()
    wishes = declared_series(load_universe(load_settings({}).universe))
    symbols = list(dict.fromkeys(wish.symbol for wish in wishes))[:SYMBOLS]
    walked = symbols[: arguments.walked]
    watch = Stopwatch()
    asked: dict[str, int] = {}
    exchanges = paper_exchanges("blofin", options=("--latency-ms", str(LATENCY_MS)))
    with throw_away_home() as home, exchanges as urls:
        url = urls["blofin"]
        universe = home / "universe.yaml"
        universe.write_text(json.dumps({"instruments": symbols, "timeframes": {"1m": "7d"}, "sources": ["blofin"]}))
        ours = {"BACKFILL_BLOFIN_URL": url, "BACKFILL_UNIVERSE": str(universe)}
        with _stack(home, ours) as stack:
            doing: dict[str, Callable[[], None]] = {
                WALK: lambda: _walk(stack.database, url, walked),
                CLI: lambda: _command_line(stack.database, ours),
                AIRFLOW: lambda: _airflow(stack),
            }
            for _ in range(arguments.rounds):
                watch.start_round()
                for what, fill in doing.items():
                    _from_empty(stack.database, url)
                    with watch.timing(what):
                        fill()
                    asked[what] = requests.get(f"{url}/paper/stats", timeout=10).json()["total"]
                    _check(stack.database, what, len(walked) if what == WALK else len(symbols))
    times = len(symbols) / len(walked)
    for one in watch.rounds:
        one[WALK] *= times
    asked[WALK] = round(asked[WALK] * times)
    pauses_s = asked[WALK] * REQUEST_SLEEP_S + len(symbols) * SYMBOL_SLEEP_S
    print(f"{len(symbols)} symbols x 7 days of 1m, {LATENCY_MS} ms latency; median of {arguments.rounds} (range)")
    for what in doing:
        ratio = "" if what == WALK else f", {spread(watch.ratios(what, WALK), '.0f')} times as fast as the walk"
        print(f"  {what:38}{spread(watch.seconds(what), '.1f')} s, {asked[what]:,} requests{ratio}")
    print(f"  (walked for {len(walked)} symbols, times {times:g}; {pauses_s:.0f} s of it are the walk's own pauses)")


@contextmanager
def _stack(home: Path, ours: dict[str, str]) -> Iterator[Stack]:
    """Postgres and Airflow; the Dag runs when it is triggered only."""
    scenario = Scenario("paper", "candles", environment=ours | {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"})
    try:
        with running_stack(load_settings({"BACKFILL_HOME": str(home)}), scenario, print) as stack:
            stack.wait_until_ready(DAG_ID)
            stack.airflow.unpause(DAG_ID)
            yield stack
    finally:
        EmbeddedPostgres(home).remove()


def _from_empty(database: str, url: str) -> None:
    """No candle, no absence, and nobody remembers a request."""
    with connect(database) as connection:
        connection.execute("TRUNCATE candles, absences, rate_budgets")
        connection.execute("DROP TABLE IF EXISTS plain")
        connection.execute(CREATE_PLAIN)
    for path in ("limits/reset", "stats/reset"):
        requests.post(f"{url}/paper/{path}", timeout=10).raise_for_status()


def _command_line(database: str, ours: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKFILL_")}
    command = [sys.executable, "-m", "backfill.cli.main", "fill", "--db", database]
    ended = subprocess.run(
        command,
        env=environment | ours,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=RUN_WITHIN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def _airflow(stack: Stack) -> None:
    run = stack.airflow.trigger(DAG_ID)
    deadline = time.monotonic() + RUN_WITHIN_S
    while not run.has_ended and time.monotonic() < deadline:
        time.sleep(0.25)
        stack.supervisor.check()
        with suppress(LocalStackFailed):  # too busy to tell
            run = stack.airflow.dag_run(DAG_ID, run.run_id)
    assert run.state == "success", (run, stack.airflow.failed_tasks(DAG_ID, run.run_id))


def _walk(database: str, url: str, symbols: Sequence[str]) -> None:
    """As the older system went about it, kinder in two things: one session, and a page's rows in one go."""
    start_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS - WEEK_MS
    with connect(database) as connection, requests.Session() as session:
        for symbol in symbols:
            have = {ms for (ms,) in connection.execute("SELECT ts_ms FROM plain WHERE symbol = %s", (symbol,))}
            oldest_ms = None
            while oldest_ms is None or oldest_ms > start_ms:
                after: dict[str, int] = {} if oldest_ms is None else {"after": oldest_ms}
                rows = _page(session, url, {"instId": symbol, "bar": "1m", "limit": WALK_ROWS, **after})
                if not rows:
                    break
                oldest_ms = int(rows[-1][0])
                missing = [row for row in rows if row[8] == "1" and int(row[0]) >= start_ms and int(row[0]) not in have]
                _insert(connection, symbol, missing)
                time.sleep(REQUEST_SLEEP_S)
            time.sleep(SYMBOL_SLEEP_S)


def _page(session: requests.Session, url: str, params: dict[str, str | int]) -> list[list[str]]:
    response = session.get(f"{url}/api/v1/market/candles", params=params, timeout=10)
    response.raise_for_status()
    rows: list[list[str]] = response.json()["data"]
    return rows


def _insert(connection: Connection, symbol: str, rows: Sequence[Sequence[str]]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO plain VALUES (%s, %s, %s, %s, %s, %s, %s)", [(symbol, *row[:5], row[6]) for row in rows]
        )


def _check(database: str, what: str, symbols: int) -> None:
    """All of it is there: a week of bars for each symbol, give or take the minute that ended meanwhile."""
    with connect(database) as connection:
        table = "SELECT count(*) FROM plain" if what == WALK else "SELECT count(*) FROM candles"
        stored = fetch_one(connection, table)[0]
    assert abs(stored - symbols * BARS) <= symbols, f"{what}: {stored:,} candles"


if __name__ == "__main__":
    main()

"""What the command line takes over many series: `backfill status` and `gaps`, with and without ``--json``.

Each series holds 90 days of minutes; one in ten has holes, and each has three runs in the log. No exchange
is asked.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

from throw_away import throw_away_database

from backfill.domain.timeframes import MINUTE_MS
from backfill.storage.database import Connection, connect

HISTORY, RUNS, HOLES = timedelta(days=90), 3, 5
COMMANDS = ("status", "status --all", "status --json", "gaps", "gaps --json")
MAKE_SERIES = """
WITH made AS (
    INSERT INTO instruments (symbol) SELECT 'S' || n || '-USDT' FROM generate_series(1, %(series)s) AS n RETURNING id
), source AS (
    INSERT INTO sources (name) VALUES ('blofin') ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
)
INSERT INTO series (instrument_id, timeframe, wanted, until, history_ms, source_ids, held)
SELECT made.id, '1m', true, %(until)s, %(history_ms)s, ARRAY[source.id],
       int8multirange(int8range(%(end_ms)s - %(history_ms)s, %(end_ms)s))
FROM made, source
"""
MAKE_HOLES = """
UPDATE series AS s SET held = held - (
    SELECT range_agg(int8range(hole.first, hole.first + 5 * s.step_ms))
    FROM (
        SELECT %(end_ms)s - s.step_ms * (10 + 1000 * n + s.id %% 900) AS first
        FROM generate_series(1, %(holes)s) AS n
    ) AS hole)
WHERE s.id %% 10 = 0
"""
MAKE_RUNS = """
INSERT INTO gap_fill_runs (dag_id, run_id, task_id, map_index, try_number, series_id, symbol, timeframe, window_start,
                           window_end, status, gaps_found, missing_before, missing_after, coverage_before, started_at,
                           finished_at)
SELECT 'd', 'run ' || n, 't', 0, 1, s.id, i.symbol, s.timeframe, %(until)s - interval '90 days', %(until)s, 'complete',
       1, 30, 0, 99.9, began, began + interval '1 second'
FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id, generate_series(1, %(runs)s) AS n,
     LATERAL (VALUES (%(until)s - n * interval '30 minutes')) AS run (began)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, nargs="+", default=[2_000, 20_000])
    for series in parser.parse_args().series:
        with throw_away_database() as uri:
            with connect(uri) as connection:
                _make(connection, series)
            print(f"{series:,} series, {series // 10:,} of them with {HOLES} holes each")
            for command in COMMANDS:
                _time(uri, command)


def _make(connection: Connection, series: int) -> None:
    until = datetime.now(timezone.utc).replace(second=0, microsecond=0) - timedelta(minutes=10)
    params = {
        "series": series,
        "until": until,
        "end_ms": round(until.timestamp()) * 1000,
        "history_ms": HISTORY // timedelta(milliseconds=1) // MINUTE_MS * MINUTE_MS,
        "holes": HOLES,
        "runs": RUNS,
    }
    for statement in (MAKE_SERIES, MAKE_HOLES, MAKE_RUNS):
        connection.execute(statement, params)
    connection.execute("ANALYZE")


def _time(uri: str, command: str) -> None:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "backfill.cli.main", *command.split(), "--db", uri],
        env={name: value for name, value in os.environ.items() if not name.startswith("BACKFILL_")},
        capture_output=True,
        check=False,
        timeout=300,
    )
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = ended.stdout.count(b"\n")
    print(
        f"  {command:16}{wall_s:6.2f} s, {after.ru_utime - before.ru_utime:.2f} s of user time of the command, "
        f"{lines:,} lines, exit code {ended.returncode}"
    )


if __name__ == "__main__":
    main()

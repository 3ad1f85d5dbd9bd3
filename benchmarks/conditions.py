"""The condition of 1,244 series of 365 days each: counted once, then read. The candles themselves are left out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import psycopg
from throw_away import throw_away_database

MAKE = """
INSERT INTO sources (name) VALUES ('blofin'), ('okx');
INSERT INTO instruments (symbol, state, described_by)
SELECT 'C' || n || '-USDT', 'live', 1 FROM generate_series(1, {symbols}) AS n;
INSERT INTO series (instrument_id, timeframe, wanted, history_ms, source_ids)
SELECT i.id, timeframe, true, 365 * 86400000::bigint, '{{1,2}}'
FROM instruments AS i, unnest('{{1m,5m,15m,1h}}'::text[]) AS timeframe;
UPDATE series AS s
SET held = int8multirange(int8range(grid_floor(epoch_ms(now()) - 370 * 86400000::bigint, s.step_ms, 0),
                                    grid_floor(epoch_ms(now()), s.step_ms, 0))) - holes.bars
FROM (SELECT one.id, range_agg(int8range(hole.ms, hole.ms + one.step_ms)) AS bars
      FROM series AS one
      CROSS JOIN LATERAL (SELECT grid_floor(epoch_ms(now()) - (random() * 365 * 86400000 + 0 * n)::bigint,
                                            one.step_ms, 0) AS ms
                          FROM generate_series(1, 40) AS n) AS hole
      GROUP BY one.id) AS holes
WHERE holes.id = s.id;
INSERT INTO absences (series_id, source_id, confirmations, expires_at, absent, grade)
SELECT s.id, source, 2, now() + interval '5 days',
       int8multirange(int8range(lower(s.held), upper(s.held))) - s.held, 'reported'
FROM series AS s, unnest('{{1,2}}'::smallint[]) AS source;
"""
QUESTIONS = {
    "all, by condition": "SELECT condition, count(*) FROM conditions GROUP BY condition",
    "one symbol": "SELECT * FROM conditions WHERE symbol = 'C7-USDT'",
}


def main() -> None:
    """Make the series, count their days, and print how long reading takes."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--symbols", type=int, default=311, help="each with four timeframes (311)")
    arguments.add_argument("--rounds", type=int, default=3)
    args = arguments.parse_args()
    with throw_away_database() as uri, psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("SET search_path = backfill")
        connection.execute(MAKE.format(symbols=args.symbols))
        days, took = timed(connection, "SELECT sum(count_changed_days(id)) FROM series")
        print(f"{days[0][0]:,} days counted in {took:.1f} s, {1000 * took / days[0][0]:.2f} ms a day")
        connection.execute("VACUUM ANALYZE")
        for what, question in QUESTIONS.items():
            for _ in range(args.rounds):
                before = cpu_s(connection)
                rows, took = timed(connection, question)
                print(f"{what}: {len(rows):,} rows, {took:.2f} s, of them {cpu_s(connection) - before:.2f} s at work")


def timed(connection: psycopg.Connection[Any], question: str) -> tuple[list[Any], float]:
    """The answer, and how long it took."""
    began = time.perf_counter()
    rows = connection.execute(question).fetchall()
    return rows, time.perf_counter() - began


def cpu_s(connection: psycopg.Connection[Any]) -> float:
    """Processor time of the backend: what other work on the machine costs is not in it."""
    fields = Path(f"/proc/{connection.info.backend_pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()

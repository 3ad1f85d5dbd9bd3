"""Runs without end, under faults: does anything grow that should not?

In one process, again and again: a hole is torn, then `fill`, `validate --thorough`, `prune` and `audit` run as the
command line runs them, and the universe is refreshed as `candles_maintain` does. Beside each fill runs one of another
process, every third of which is killed. The paper exchanges, Blofin and OKX, have faults all the while.

A sample a minute, between two rounds and after a VACUUM: autovacuum leaves a small table until it has fifty dead rows.
The first third of the samples says how much a figure scatters around its line; what the rest adds by its slope may be
three times that plus a floor: 2 %, or one connection, lock, file or page. Sizes on disk may gain half: space of dead
rows is used again, but not at once. What grows by design (run log, findings, revisions) is only printed. More is
growth: exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
from psycopg.sql import SQL, Composed, Identifier
from throw_away import paper_exchanges, throw_away_database

from backfill.cli.main import main as run_command
from backfill.config.connections import source_from_environment
from backfill.config.settings import load_settings
from backfill.errors import ExchangeError
from backfill.jobs.universe.refresh_universe import refresh_universe
from backfill.sources.runtime import Runtime
from backfill.storage.database import Connection, connect, fetch_one

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT", "ADA-USDT")
UNIVERSE = {
    "instruments": SYMBOLS,
    "timeframes": {"1m": {"history": "12h", "retention": "12h"}, "1h": "5d"},
    "sources": ["blofin", "okx"],
}
# Probability a request, or a page.
FAULTS = {
    "closed": 0.02,
    "cut": 0.02,
    "error_502": 0.05,
    "html": 0.02,
    "half_json": 0.02,
    "limited": 0.005,
    "left_out": 0.05,
    "garbled": 0.05,
    "duplicated": 0.05,
    "short_page": 0.05,
    "empty_page": 0.02,
}
SAMPLE_EVERY_S = 60.0
KILLED = 3
SCATTERS = 3.0
SMALLEST_SHARE = 0.02
SHARE_ON_DISK = 0.5
SMALLEST_COUNT = 1.0
PAGE_KIB = 8.0  # a rate budget holds the requests of its window: some KiB more where rounds are quicker
TEAR = """
DELETE FROM candles WHERE series_id = (SELECT s.id FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id
                                       WHERE i.symbol = %s AND s.timeframe = '1m')
  AND open_time >= now() - make_interval(mins => %s) AND open_time < now() - make_interval(mins => %s)
"""
# Of other sessions than this one.
SESSIONS = """
SELECT count(*)::int FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
LOCKS = """
SELECT count(*)::int FROM pg_locks
WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
  AND (locktype = 'advisory' OR mode <> 'AccessShareLock')
  AND pid IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
SERVER_FILES = "SELECT count(*)::int FROM pg_ls_tmpdir()"  # of queries that did not fit in memory
SIZE = """
SELECT (sum(pg_total_relation_size(c.oid)) / 1024)::float8 FROM pg_class AS c
WHERE c.relnamespace = 'backfill'::regnamespace AND c.relkind = 'r' AND c.relname <> ALL (%s) AND c.relname LIKE %s
"""
LOGS = ("gap_fill_runs", "source_attempts", "findings", "revisions", "quarantine", "instrument_log")
CANDLES = "SELECT count(*) FROM candles"
LEDGERS = """
SELECT relname FROM pg_class
WHERE relnamespace = 'backfill'::regnamespace AND relkind = 'r' AND relname <> ALL (%s) AND relname NOT LIKE 'candles%%'
"""
LIVE = SQL("SELECT sum(pg_column_size(ledger.*)) FROM {} AS ledger")


@dataclass
class Series:
    """A figure by sample. ``share``, ``count``: what it may gain at least; without a share it grows by design."""

    name: str
    share: float | None
    count: float
    values: list[float] = field(default_factory=list)

    def growth(self, minutes: Sequence[float]) -> tuple[float, float]:
        """What the last two thirds add by their slope, and what they may."""
        third = max(3, len(self.values) // 3)
        scatter = _scatter(minutes[:third], self.values[:third])
        later = minutes[third:]
        slope, _ = statistics.linear_regression(later, self.values[third:])
        floor = max(self.count, (self.share or 0.0) * statistics.median(self.values[:third]))
        return slope * (later[-1] - later[0]), SCATTERS * scatter + floor


def sampled() -> dict[str, Series]:
    """By name, in the table's order."""
    sizes = [Series(name, SMALLEST_SHARE, 0.0) for name in ("RSS MiB", "bars")]
    sizes.append(Series("live KiB", SMALLEST_SHARE, PAGE_KIB))
    sizes += [Series(name, SHARE_ON_DISK, 0.0) for name in ("bars KiB", "ledg KiB")]
    names = ("fds", "threads", "files", "sessions", "locks", "pg temp")
    counts = [Series(name, 0.0, SMALLEST_COUNT) for name in names]
    return {one.name: one for one in (*sizes, Series("logs KiB", None, 0.0), *counts)}


def _scatter(minutes: Sequence[float], values: Sequence[float]) -> float:
    """The standard deviation around the line through them."""
    slope, start = statistics.linear_regression(minutes, values)
    return statistics.pstdev(value - (start + slope * minute) for minute, value in zip(minutes, values, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=16)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    with throw_away_database() as uri, tempfile.TemporaryDirectory() as folder, _faulty_exchanges() as urls:
        own_temp = Path(folder) / "tmp"
        own_temp.mkdir()
        universe = Path(folder) / "universe.yaml"
        universe.write_text(json.dumps(UNIVERSE))
        ours = {f"BACKFILL_{name.upper()}_URL": url for name, url in urls.items()}
        ours |= {"BACKFILL_DB": uri, "BACKFILL_UNIVERSE": str(universe), "BACKFILL_ENV_FILE": os.devnull}
        for name in [name for name in os.environ if name.startswith(("BACKFILL_", "AIRFLOW_"))]:
            del os.environ[name]
        os.environ.update({**ours, "BACKFILL_HTTP_TIMEOUT_S": "5", "TMPDIR": str(own_temp)})
        tempfile.tempdir = None  # TMPDIR is read again
        with connect(uri, application_name="soak") as watching:
            return _soak(watching, dice, own_temp, arguments.minutes)


def _soak(watching: Connection, dice: random.Random, own_temp: Path, for_minutes: float) -> int:
    series, minutes, codes = sampled(), [], Counter[tuple[str, int]]()
    began = time.monotonic()
    next_at, rounds = SAMPLE_EVERY_S / 2, 0
    print("".join(f"{name:>9}" for name in ("minute", "rounds", *series)), flush=True)
    while (passed_s := time.monotonic() - began) < 60 * for_minutes:
        _one_round(watching, dice, codes, is_killed=rounds % KILLED == KILLED - 1)
        rounds += 1
        if passed_s >= next_at:
            next_at = passed_s + SAMPLE_EVERY_S
            minutes.append((time.monotonic() - began) / 60)
            for name, value in _sample(watching, own_temp).items():
                series[name].values.append(value)
            shown = (minutes[-1], rounds, *(one.values[-1] for one in series.values()))
            print("".join(f"{value:9,.1f}" for value in shown), flush=True)
    print(f"\n{rounds} rounds; exit codes: {_listed(codes)}")
    return _judged(series, minutes)


def _listed(codes: Counter[tuple[str, int]]) -> str:
    return ", ".join(f"{what} {code} ({times})" for (what, code), times in sorted(codes.items()))


def _judged(series: dict[str, Series], minutes: Sequence[float]) -> int:
    if len(minutes) < 9:
        print("too few samples to judge by: nine minutes at least")
        return 1
    grown = []
    print(f"\n{'':12}{'first third':>14}{'last third':>14}{'per hour':>12}{'grew by':>12}{'may by':>12}")
    for one in series.values():
        third = len(one.values) // 3
        grew, allowed = one.growth(minutes)
        per_hour = grew / (minutes[-1] - minutes[third]) * 60
        bound = f"{allowed:12,.1f}" if one.share is not None else f"{'by design':>12}"
        first, last = statistics.median(one.values[:third]), statistics.median(one.values[-third:])
        print(f"{one.name:12}{first:14,.1f}{last:14,.1f}{per_hour:12,.1f}{grew:12,.1f}{bound}")
        if one.share is not None and grew > allowed:
            grown.append(one.name)
    print(f"\ngrowing: {', '.join(grown) or 'nothing'}")
    return 1 if grown else 0


def _one_round(watching: Connection, dice: random.Random, codes: Counter[tuple[str, int]], *, is_killed: bool) -> None:
    oldest = dice.randrange(90, 600)
    watching.execute(TEAR, (dice.choice(SYMBOLS), oldest, oldest - dice.randrange(10, 90)))
    beside = subprocess.Popen(
        [sys.executable, "-m", "backfill.cli.main", "fill", "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    codes["fill", _quietly("fill")] += 1
    if is_killed:
        beside.kill()
    codes["fill beside", beside.wait()] += 1
    for command in (["validate", "--thorough"], ["prune"], ["audit"]):
        codes[command[0], _quietly(*command)] += 1
    runtime = Runtime(os.environ["BACKFILL_DB"], load_settings(), source_from_environment)
    with runtime, suppress(ExchangeError):  # a fault may befall the exchange's list too
        refresh_universe(runtime)


def _quietly(*command: str) -> int:
    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        return run_command([*command, "--json"])


def _sample(watching: Connection, own_temp: Path) -> dict[str, float]:
    def number(sql: str | Composed, *parameters: object) -> float:
        return float(fetch_one(watching, sql, parameters)[0] or 0)

    watching.execute("VACUUM")
    us = psutil.Process()
    everything, candles = number(SIZE, [], "%"), number(SIZE, [], "candles%")
    ledgers = number(SIZE, [*LOGS], "%") - candles
    return {
        "RSS MiB": us.memory_info().rss / 2**20,
        "bars": number(CANDLES),
        "live KiB": sum(number(LIVE.format(Identifier("backfill", name))) for name in _ledgers(watching)) / 1024,
        "bars KiB": candles,
        "ledg KiB": ledgers,
        "logs KiB": everything - candles - ledgers,
        "fds": us.num_fds(),
        "threads": us.num_threads(),
        "files": sum(1 for _ in own_temp.rglob("*")),
        "sessions": number(SESSIONS),
        "locks": number(LOCKS),
        "pg temp": number(SERVER_FILES),
    }


def _ledgers(watching: Connection) -> list[str]:
    return [name for (name,) in watching.execute(LEDGERS, ([*LOGS],))]


@contextmanager
def _faulty_exchanges() -> Iterator[dict[str, str]]:
    """Paper exchanges with FAULTS on; their addresses by name."""
    with paper_exchanges("blofin", "okx", options=("--latency-ms", "20")) as urls:
        for url in urls.values():
            for name, probability in FAULTS.items():
                switch = f"{url}/paper/faults/{name}"
                requests.post(switch, params={"probability": probability}, timeout=10).raise_for_status()
        yield urls


if __name__ == "__main__":
    sys.exit(main())

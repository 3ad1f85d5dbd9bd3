"""`backfill validate --thorough` over 32 symbols x 7 days of 1m, beside two other venues.

The exchanges are on paper, in a process of their own that waits 40 ms before each answer. Nothing in the candles is
wrong, so no finding may be open afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from throw_away import paper_exchanges, spread, throw_away_database, throw_away_home

from backfill.paper.coins import LIQUID_COINS
from backfill.storage.database import connect, fetch_one

EXCHANGES = ("blofin", "okx", "bybit")
LATENCY_MS = 40
WITHIN_S = 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    arguments = parser.parse_args()
    symbols = [coin.instrument.symbol for coin in LIQUID_COINS][:32]
    exchanges = paper_exchanges(*EXCHANGES, options=("--latency-ms", str(LATENCY_MS)))
    with throw_away_home() as home, throw_away_database() as database, exchanges as urls:
        universe = home / "universe.yaml"
        universe.write_text(json.dumps({"instruments": symbols, "timeframes": {"1m": "7d"}, "sources": EXCHANGES}))
        ours = {f"BACKFILL_{name.upper()}_URL": url for name, url in urls.items()} | {
            "BACKFILL_UNIVERSE": str(universe)
        }
        _command(database, ours, "fill")
        seconds = []
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            _command(database, ours, "validate", "--thorough")
            seconds.append(time.perf_counter() - began)
        with connect(database) as connection:
            bars = fetch_one(connection, "SELECT count(*) FROM backfill.candles")[0]
            findings = fetch_one(connection, "SELECT count(*) FROM backfill.findings WHERE status = 'open'")[0]
            wrong = fetch_one(connection, "SELECT count(*) FROM backfill.findings WHERE verdict = 'disagree'")[0]
    print(f"{len(symbols)} symbols x 7 days of 1m, {bars:,} bars, {LATENCY_MS} ms latency; median (range)")
    print(f"  validate --thorough  {spread(seconds, '.1f')} s; {findings} open findings, {wrong} that disagree")


def _command(database: str, ours: dict[str, str], *arguments: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKFILL_")}
    ended = subprocess.run(
        [sys.executable, "-m", "backfill.cli.main", *arguments, "--db", database],
        env=environment | ours,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


if __name__ == "__main__":
    main()

"""Whether pages that stay open for a day grow, in Chromium: JS heap, DOM nodes, the memory of the serving process.

A day is 2,880 refreshes, one every 30 seconds; here one follows the other, and the pages' clock goes on with each
request. Nothing is stored meanwhile, so that every refresh of a minute shows more missing than the one before. Needs
tests/browser/install.sh.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import psutil
import uvicorn
from fastapi import FastAPI
from pages import AT, DAY, MAKE_HELD, MAKE_MINUTES, MAKE_SERIES
from throw_away import throw_away_database

from backfill.storage.database import connect
from backfill.ui.api import Pages
from backfill.ui.coverage_app import coverage_app

A_DAY = 2880
SERIES, HISTORY, MINUTES = 200, 60 * DAY, 50_000
# Both pages ask eight times together for each refresh.
ON_WITH_EACH_REQUEST = timedelta(seconds=4)
HASHES = ("#/", "#/series/S1-USDT/1m")
STAY_OPEN = Path(__file__).parents[1] / "tests" / "browser" / "stay_open.mjs"
PROCESSES = multiprocessing.get_context("spawn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refreshes", type=int, default=A_DAY, metavar="N", help="of each page (%(default)s)")
    refreshes = parser.parse_args().refreshes
    with throw_away_database() as uri:
        _make(uri)
        with _served(uri) as (server, base):
            print(f"{'page':22} refreshes   heap, MB  DOM nodes  listeners  server, MB")
            command = ["node", str(STAY_OPEN), base, str(refreshes), "4", *HASHES]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as chromium:
                for line in chromium.stdout or ():
                    _print(json.loads(line), server.memory_info().rss)
            assert chromium.returncode == 0


def _print(look: dict[str, int], rss: int) -> None:
    print(
        f"{look['hash']:22} {look['refreshes']:9,} {look['heap'] / 1e6:10.2f} {look['nodes']:10,} "
        f"{look['listeners']:10,} {rss / 1e6:11.1f}",
        flush=True,
    )


def _make(uri: str) -> None:
    first, last = AT - timedelta(minutes=MINUTES), AT - timedelta(minutes=1)
    with connect(uri) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(MAKE_SERIES, {"series": SERIES, "history_ms": HISTORY // timedelta(milliseconds=1)})
        connection.execute(MAKE_HELD, {"end_ms": round(1000 * AT.timestamp())})
        connection.execute("UPDATE series SET held = '{}' WHERE id = 1")
        connection.execute("SELECT ensure_candle_partitions(%s, %s)", (first, AT + 2 * DAY))
        connection.execute(MAKE_MINUTES, {"series_id": 1, "first": first, "last": last})
        connection.execute("VACUUM ANALYZE")


@contextmanager
def _served(uri: str) -> Iterator[tuple[psutil.Process, str]]:
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=serve, args=(uri, theirs))
    process.start()
    try:
        assert ours.poll(60), "no server"
        yield psutil.Process(process.pid), ours.recv()
    finally:
        process.terminate()
        process.join()


def serve(uri: str, pipe: Pipe) -> None:
    """The pages, beside an Airflow that has one Dag."""
    requests = itertools.count()

    def clock() -> datetime:
        return AT + next(requests) * ON_WITH_EACH_REQUEST

    airflow = FastAPI()
    airflow.get("/api/v2/dags/{dag_id}")(lambda dag_id: {"dag_id": dag_id, "is_paused": True})
    airflow.mount("/backfill", coverage_app(Pages(lambda: connect(uri), clock=clock), lambda: None))
    config = uvicorn.Config(airflow, port=0, log_level="warning", lifespan="off")
    with config.bind_socket() as socket:
        pipe.send(f"http://127.0.0.1:{socket.getsockname()[1]}/backfill")
        uvicorn.Server(config).run([socket])


if __name__ == "__main__":
    main()

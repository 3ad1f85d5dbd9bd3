"""A process that asks a paper Blofin as often as the shared budget lets it, from some threads, until it is killed.

Its argument is one JSON object: see ``main``. It says ``ready`` and begins when it is sent a line.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import requests

from backfill.errors import RateLimited
from backfill.exchanges.blofin_client import BlofinClient
from backfill.storage.database import connect, fetch_one
from backfill.storage.rate_budget import RateBudget


def main(database: str, url: str, limits: list[tuple[int, int]], margin_ms: int, pause_s: float, threads: int) -> None:
    connection = connect(database)
    source_id = fetch_one(connection, "SELECT id FROM sources WHERE name = 'blofin'")[0]
    budget = RateBudget(connection, "blofin", source_id, tuple(limits), margin_ms=margin_ms)

    def pause(error: RateLimited) -> None:
        budget.pause(RateLimited("blofin", str(error), pause_s))

    client = BlofinClient(requests.Session(), url, before_request=budget.take_turn, on_ban=pause)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(threads):
        threading.Thread(target=ask_for_ever, args=(client,)).start()


def ask_for_ever(client: BlofinClient) -> None:
    while True:
        ask(client)


def ask(client: BlofinClient) -> None:
    """Once; who is refused or held back is impatient: it is for the budget to keep it from asking."""
    try:
        client.markets()
    except RateLimited as error:
        time.sleep(min(error.retry_after_s, 1))


if __name__ == "__main__":
    options: dict[str, Any] = json.loads(sys.argv[1])
    main(**options)

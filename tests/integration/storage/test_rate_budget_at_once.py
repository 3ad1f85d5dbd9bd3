"""Several processes with several threads each before one exchange that enforces its limits, in real time."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from backfill.paper.coins import LIQUID_COINS
from backfill.paper.limits import Doorkeeper, HouseRules, PaperRefusal, RequestWindow
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.candle_store import CandleStore
from integration.helpers import one
from waiting import wait_for

pytestmark = pytest.mark.long

PROGRAM = Path(__file__).with_name("ask_in_turns.py")
PLUGINS = Path(__file__).parents[3] / "plugins"
PROCESSES, THREADS = 4, 4
BURST, (MOST, PERIOD_S) = (30, 1), (60, 4)
MARGIN_MS = 1500  # as late as one burst may be against the next on a busy computer
PAUSE_S = 3


class NotingDoorkeeper(Doorkeeper):
    """Keeps when requests were let in and when refused, in seconds."""

    def __init__(self, rules: HouseRules) -> None:
        super().__init__(rules)
        self.let_in_s: list[float] = []
        self.refused_s: list[float] = []

    def refusal(self, address: str, now_ms: int, path: str = "", weight: int = 1) -> PaperRefusal | None:
        refused = super().refusal(address, now_ms, path, weight)
        (self.let_in_s if refused is None else self.refused_s).append(now_ms / 1000)
        return refused


@pytest.fixture
def visits() -> NotingDoorkeeper:
    limits = (BURST, (MOST, PERIOD_S))
    return NotingDoorkeeper(HouseRules(tuple(RequestWindow(n, 1000 * s, 1000 * PAUSE_S) for n, s in limits)))


@pytest.fixture
def enforcing_exchange(visits: NotingDoorkeeper) -> Iterator[PaperExchange]:
    exchange = PaperExchange(SyntheticMarket(coins=LIQUID_COINS[:1]))
    exchange.doorkeeper = visits
    with exchange:
        yield exchange


@contextmanager
def processes_asking(store: CandleStore, database_uri: str, url: str) -> Iterator[list[subprocess.Popen[str]]]:
    """All of them at it, from one moment on; none may have anything to complain of."""
    store.source_id("blofin")
    options = {
        "database": database_uri,
        "url": url,
        "limits": [BURST, (MOST, PERIOD_S)],
        "margin_ms": MARGIN_MS,
        "pause_s": PAUSE_S,
        "threads": THREADS,
    }
    with ExitStack() as opened:
        processes = [
            opened.enter_context(
                subprocess.Popen(
                    [sys.executable, str(PROGRAM), json.dumps(options)],
                    env={**os.environ, "PYTHONPATH": str(PLUGINS)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(PROCESSES)
        ]
        try:
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            yield processes
        finally:
            for process in processes:
                process.kill()
        assert [process.communicate()[1] for process in processes] == [""] * PROCESSES


def test_nobody_is_refused_the_budget_is_used_up_and_who_is_killed_wastes_only_its_own_turns(
    store: CandleStore, database_uri: str, enforcing_exchange: PaperExchange, visits: NotingDoorkeeper
) -> None:
    with processes_asking(store, database_uri, enforcing_exchange.url) as processes:
        time.sleep(1)
        processes[0].kill()  # its threads wait for turns that they have reserved
        wait_for("two rounds of visits", lambda: len(visits.let_in_s) >= 2 * MOST)

    assert visits.refused_s == []
    cycle = MOST - THREADS  # the killed one's turns are lost
    took_s = [later - earlier for earlier, later in zip(visits.let_in_s, visits.let_in_s[cycle:], strict=False)]
    permitted_s = PERIOD_S + MARGIN_MS / 1000
    assert statistics.median(took_s) < 1.25 * permitted_s


def test_after_a_refusal_nobody_asks_before_the_suspension_is_over_and_then_all_go_on(
    store: CandleStore, database_uri: str, enforcing_exchange: PaperExchange, visits: NotingDoorkeeper
) -> None:
    with processes_asking(store, database_uri, enforcing_exchange.url):
        wait_for("ten visits", lambda: len(visits.let_in_s) >= 10)
        enforcing_exchange.suspend(429, PAUSE_S)
        time.sleep(PAUSE_S + 4)  # the first to ask after a pause is alone for two seconds

    first_s = visits.refused_s[0]
    on_their_way = [at_s for at_s in visits.refused_s if at_s < first_s + 1]
    assert visits.refused_s == on_their_way
    assert len(on_their_way) <= PROCESSES * THREADS
    went_on = [at_s for at_s in visits.let_in_s if at_s > first_s]
    assert len(went_on) >= BURST[0] // 2
    assert min(went_on) >= first_s + PAUSE_S - 0.05
    assert one(store.connection, "SELECT paused_until < clock_timestamp() FROM backfill.rate_budgets")

"""Many processes on one rate budget: 8 workers of each of two Dags and a command line, before one paper Blofin.

The exchange runs in a process of its own and enforces Blofin's limits: 500 requests a minute, 1500 in five minutes.
First, while there is more work than may be asked for: how much of what is permitted is used, and whether anybody is
ever refused. Then, in the middle of a burst, the exchange suspends the address: who still asks, and when? Then
the rest of the work. Last, what one turn in the budget costs.

``--scaled`` runs the same code with smaller limits and shorter periods.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier
from pathlib import Path

import requests
from throw_away import spread, throw_away_database, throw_away_home

from backfill.cli import main as command_line
from backfill.config.connections import database_uri, source_from_environment
from backfill.config.settings import load_settings
from backfill.domain.timeframes import DAY_MS
from backfill.domain.venues import VENUES
from backfill.errors import RateLimited
from backfill.exchanges import blofin_client
from backfill.jobs.fill.fill_universe import fill_series, windows_to_fill
from backfill.paper.coins import LIQUID_COINS, made_up_coins
from backfill.paper.limits import Doorkeeper, HouseRules, PaperRefusal, RequestWindow
from backfill.paper.server import PaperExchange, serve_together, wall_clock_ms
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources import runtime
from backfill.storage.database import connect, fetch_one
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.rate_budget import PERIOD_MARGIN_MS, RateBudget

DAGS, WORKERS_EACH = ("candles_fill_gaps", "candles_catch_up"), 8
SYMBOLS_PER_TASK = 3
ROWS_PER_PAGE, HISTORY_H = 100, 25
PAGES_PER_SYMBOL = HISTORY_H * 60 // ROWS_PER_PAGE
IN_FLIGHT_MS = 3_000
TURNS_EACH = 100
PROCESSES = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class House:
    """What the exchange permits, and what of it our budget leaves as a margin."""

    limits_per_period_s: tuple[tuple[int, int], ...] = blofin_client.VENUE.limits_per_period_s
    suspension_s: float = blofin_client.VENUE.rules.ban_s
    margin_ms: int = PERIOD_MARGIN_MS
    least_share: float = 0.95

    def rules(self) -> HouseRules:
        windows = [RequestWindow(n, 1000 * s, round(1000 * self.suspension_s)) for n, s in self.limits_per_period_s]
        return HouseRules(tuple(windows))

    def obey(self) -> None:
        """Make this process's fills go by this house's numbers instead of Blofin's."""
        blofin = blofin_client.VENUE
        rules = replace(blofin.rules, ban_s=self.suspension_s, rate_limit_s=self.suspension_s)
        VENUES["blofin"] = blofin_client.VENUE = replace(
            blofin, rules=rules, limits_per_period_s=self.limits_per_period_s
        )
        runtime.RateBudget = functools.partial(RateBudget, margin_ms=self.margin_ms)


BLOFIN = House()
# A busy computer is as late in a short period as in a long one, so the margin takes a larger part of it.
SCALED = House(((75, 3), (225, 15)), suspension_s=6, margin_ms=1500, least_share=0.85)


class NotingDoorkeeper(Doorkeeper):
    """Writes down when each request came and whether it was let in."""

    def __init__(self, rules: HouseRules, notes: Path) -> None:
        super().__init__(rules)
        self._notes = notes.open("w", buffering=1)

    def refusal(self, address: str, now_ms: int, path: str = "", weight: int = 1) -> PaperRefusal | None:
        refused = super().refusal(address, now_ms, path, weight)
        self._notes.write(f"{now_ms} {'in' if refused is None else 'refused'}\n")
        return refused


@dataclass(frozen=True)
class Visits:
    """When requests were let in, and when refused, in epoch ms."""

    let_in: list[int]
    refused: list[int]

    @classmethod
    def noted(cls, notes: Path) -> Visits:
        lines = [line.split() for line in notes.read_text().splitlines()]
        return cls(*([int(at) for at, how in lines if how == wanted] for wanted in ("in", "refused")))

    def most_in_any(self, span_ms: int) -> int:
        most = first = 0
        for n, at_ms in enumerate(self.let_in):
            while self.let_in[first] <= at_ms - span_ms:
                first += 1
            most = max(most, n - first + 1)
        return most

    def sustained_per_s(self, cycle: int) -> float:
        """From each request to the one ``cycle`` later, on average: bursts and the pauses they cost included."""
        took_ms = [self.let_in[n + cycle] - at_ms for n, at_ms in enumerate(self.let_in[:-cycle])]
        return 1000 * cycle / statistics.fmean(took_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scaled", action="store_true", help="a minute becomes 3 s, its 500 requests 75")
    parser.add_argument("--seconds", type=int, help="of asking before the suspension; default: both windows and a bit")
    arguments = parser.parse_args()
    house = SCALED if arguments.scaled else BLOFIN
    seconds = arguments.seconds or round(1.2 * house.limits_per_period_s[-1][1] + 0.1 * house.limits_per_period_s[0][1])
    with throw_away_home() as home, throw_away_database() as uri:
        notes = home / "visits"
        symbols = [coin.instrument.symbol for coin in _coins(_instruments_for(house, seconds))]
        with _paper_exchange(house, len(symbols), notes) as url:
            (home / "universe.yaml").write_text(
                f"instruments: [{', '.join(symbols)}]\ntimeframes: {{1m: {HISTORY_H}h}}\nsources: [blofin]\n"
            )
            environment = {
                "BACKFILL_DB": uri,
                "BACKFILL_BLOFIN_URL": url,
                "BACKFILL_UNIVERSE": str(home / "universe.yaml"),
                "BACKFILL_BATCH_LIMIT": str(ROWS_PER_PAGE),
            }
            with _workers(house, environment, symbols) as workers:
                _wait_for_burst(house, notes, seconds)
                before = Visits.noted(notes)
                shares = _requests_by_worker(uri)
                suspended_ms = wall_clock_ms()
                asking = {"status": 429, "seconds": house.suspension_s}
                requests.post(f"{url}/paper/suspend", params=asking, timeout=10).raise_for_status()
                for worker in workers:
                    worker.join()
                    assert worker.exitcode == 0, worker
            ended_ms = wall_clock_ms()
        _tell_rate(house, before, shares, len(workers))
        _tell_suspension(house, Visits.noted(notes), suspended_ms, ended_ms)
        _check_complete(uri, len(symbols))
        _tell_cost(uri)


# -- processes -----------------------------------------------------------------------------------------------


@contextmanager
def _paper_exchange(house: House, instruments: int, notes: Path) -> Iterator[str]:
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=serve_paper, args=(house, instruments, notes, theirs))
    process.start()
    try:
        assert ours.poll(60), "no exchange"
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def serve_paper(house: House, instruments: int, notes: Path, pipe: Pipe) -> None:
    with suppress(PermissionError):
        os.nice(-10)  # a real exchange does not wait for our processors
    exchange = PaperExchange(SyntheticMarket(7, coins=_coins(instruments)))
    exchange.doorkeeper = NotingDoorkeeper(house.rules(), notes)
    server = exchange.server()
    pipe.send(exchange.url)
    serve_together([server])


@contextmanager
def _workers(
    house: House, environment: dict[str, str], symbols: Sequence[str]
) -> Iterator[list[multiprocessing.process.BaseProcess]]:
    """All of them at work, each with its share of the symbols."""
    others = {name: value for name, value in os.environ.items() if name.startswith("BACKFILL_")}
    for name in others:
        del os.environ[name]
    os.environ.update(environment)  # spawned processes inherit it
    total = len(DAGS) * WORKERS_EACH + 1
    start = PROCESSES.Barrier(total)
    workers = [
        PROCESSES.Process(target=work_for_dag, args=(house, start, dag_id, n, symbols[dag * WORKERS_EACH + n :: total]))
        for dag, dag_id in enumerate(DAGS)
        for n in range(WORKERS_EACH)
    ]
    workers.append(PROCESSES.Process(target=work_for_person, args=(house, start, symbols[total - 1 :: total])))
    try:
        for worker in workers:
            worker.start()
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def work_for_dag(house: House, start: Barrier, dag_id: str, number: int, symbols: Sequence[str]) -> None:
    """One slot of an executor: a task for a few symbols, then the next; what is refused is tried again later."""
    house.obey()
    start.wait()
    for first in range(0, len(symbols), SYMBOLS_PER_TASK):
        who = RunIdentity(dag_id, "benchmark", f"worker_{number}")
        while not _task_succeeds(symbols[first : first + SYMBOLS_PER_TASK], who):
            time.sleep(house.suspension_s)  # as dag_defaults.py tells Airflow


def _task_succeeds(symbols: Sequence[str], who: RunIdentity) -> bool:
    """What BlofinCandlesOperator does."""
    with runtime.Runtime(database_uri(), load_settings(), source_from_environment) as opened:
        windows = windows_to_fill(opened, symbols=symbols)
        causes = [report.cause for report in fill_series(opened, windows, who, only=["blofin"]) if report.cause]
    for cause in causes:
        if not isinstance(cause, RateLimited):
            raise cause
    return not causes


def work_for_person(house: House, start: Barrier, symbols: Sequence[str]) -> None:
    """`backfill fill`, and again after a while when it says that it was refused."""
    house.obey()
    start.wait()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        while command_line.main(["fill", "--symbols", ",".join(symbols)]) != 0:
            time.sleep(house.suspension_s)


def _coins(instruments: int) -> list:
    today_ms = wall_clock_ms() // DAY_MS * DAY_MS
    return [*LIQUID_COINS, *made_up_coins(instruments, today_ms)][:instruments]


def _instruments_for(house: House, seconds: float) -> int:
    """So many that there is work for all that may be asked in ``seconds``, and for a burst or so after that."""
    burst, (most, period_s) = house.limits_per_period_s[0][0], house.limits_per_period_s[-1]
    return round((most * (seconds / period_s) + 2 * burst) / PAGES_PER_SYMBOL)


def _wait_for_burst(house: House, notes: Path, seconds: float) -> None:
    """Until the time is over and requests come thick and fast: then a suspension hits hardest."""
    while not (notes.exists() and notes.stat().st_size):
        time.sleep(0.05)
    ends_ms = Visits.noted(notes).let_in[0] + 1000 * seconds
    many = house.limits_per_period_s[0][0] // 20
    while True:
        time.sleep(0.1)
        visits, now_ms = Visits.noted(notes), wall_clock_ms()
        assert not visits.refused, "refused before it was asked to refuse"
        if now_ms > ends_ms and sum(at_ms > now_ms - 1000 for at_ms in visits.let_in[-many:]) == many:
            return


def _requests_by_worker(uri: str) -> list[int]:
    with connect(uri) as connection:
        asked = connection.execute("SELECT sum(requests)::int FROM gap_fill_runs GROUP BY dag_id, task_id").fetchall()
    return [requests_made for (requests_made,) in asked]


# -- figures -------------------------------------------------------------------------------------------------


def _tell_rate(house: House, visits: Visits, shares: Sequence[int], workers: int) -> None:
    seconds = (visits.let_in[-1] - visits.let_in[0]) / 1000
    per_second = visits.most_in_any(1000)
    print(f"{workers} processes, {len(visits.let_in):,} requests in {seconds:.0f} s, at most {per_second} in a second")
    print(f"  refused: {len(visits.refused)}")
    for limit, period_s in house.limits_per_period_s:
        most = visits.most_in_any(1000 * period_s)
        print(f"  most in any {period_s:3} s: {most:,} of {limit:,} permitted, {most / limit:.1%}")
    limit, period_s = house.limits_per_period_s[-1]
    rate = visits.sustained_per_s(limit)
    share = rate * period_s / limit
    print(f"  sustained: {rate:.2f} of {limit / period_s:.2f} a second permitted, {share:.1%}")
    print(f"  requests of one process: {spread(shares, 'g')}")
    assert not visits.refused
    assert share >= house.least_share


def _tell_suspension(house: House, visits: Visits, suspended_ms: int, ended_ms: int) -> None:
    first_ms = visits.refused[0]
    in_flight = [at_ms for at_ms in visits.refused if at_ms - first_ms <= IN_FLIGHT_MS]
    after = [at_ms for at_ms in visits.let_in if at_ms > first_ms]
    print(f"suspended for {house.suspension_s} s in the middle of a burst")
    print(f"  refused: {len(visits.refused)}, all on their way: the last {visits.refused[-1] - first_ms} ms later")
    print(f"  quiet until {(after[0] - suspended_ms) / 1000:.1f} s, then {len(after):,} requests", end="")
    print(f" and all complete after {(ended_ms - suspended_ms) / 1000:.1f} s")
    assert len(in_flight) == len(visits.refused), "asked during the suspension"
    assert after[0] >= suspended_ms + 1000 * house.suspension_s


def _check_complete(uri: str, instruments: int) -> None:
    with connect(uri) as connection:
        stored = fetch_one(connection, "SELECT count(*) FROM candles")[0]
        unfinished = fetch_one(connection, "SELECT count(*) FROM gap_fill_runs WHERE status = 'running'")[0]
    assert stored >= instruments * HISTORY_H * 60, f"{stored:,} candles"
    assert unfinished == 0


def _tell_cost(uri: str) -> None:
    """Of one turn, its wait left out: a reservation and a look whether the source is paused."""
    print("one turn in a full budget, its wait left out: median, lowest, highest, 95th percentile")
    for processes in (1, len(DAGS) * WORKERS_EACH):
        with PROCESSES.Pool(processes) as pool:
            pool.map(_turns_ms, [uri] * processes, chunksize=1)
            turns_ms = [ms for some in pool.map(_turns_ms, [uri] * processes, chunksize=1) for ms in some]
        percentile = statistics.quantiles(turns_ms, n=20)[-1]
        print(f"  {processes:2} processes at once: {spread(turns_ms, '.2f')} ms, {percentile:.2f} ms")


def _turns_ms(uri: str) -> list[float]:
    with connect(uri) as connection:
        source_id = fetch_one(connection, "SELECT id FROM sources WHERE name = 'blofin'")[0]
        budget = RateBudget(connection, "blofin", source_id, BLOFIN.limits_per_period_s, sleep=lambda _: None)
        moments = [time.perf_counter()]
        for _ in range(TURNS_EACH):
            budget.take_turn()
            moments.append(time.perf_counter())
    return [1000 * (later - earlier) for earlier, later in pairwise(moments)]


if __name__ == "__main__":
    sys.exit(main())

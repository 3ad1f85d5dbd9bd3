"""Simulate seeds and say what broke: `make simulate SEEDS=0-9999`, or one of them again with its trace.

python tests/simulation/seeds.py 17 --trace
python tests/simulation/seeds.py random --hours 24
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.database import connect
from backfill.storage.migrations import migrate
from integration.helpers import NOW_MS
from simulation import hours
from simulation.clock import CLOCK_SQL, migrations_by_its_clock
from simulation.hours import Hours
from simulation.model import Model
from simulation.postgres import Backends
from simulation.world import EVERY_MS, FAIR, FAULTY_RUNS, World
from workers import copy_database, new_server_home

TEMPLATE = "template_of_worlds"
BEGINS_AT = f"sim.at_ms = {NOW_MS}"
# Tables that go take the plans of all sessions with them, a fifth of what Postgres does for a world.
MONTHS_GO_EVERY = 20
# A geo-block keeps a source shut for twelve hours at most: the longest that anything waits for.
MOST_CLEAN_RUNS = 12 * 3_600_000 // EVERY_MS + 4
# Beyond the least: probes of sources that were shut, listings proved, silence asked for twice, pages read again.
SPARE_REQUESTS, SPARE_SHARE = 12, 0.5


@dataclass(frozen=True)
class Simulated:
    """One seed's end."""

    seed: int
    digest: str
    faults: int
    deaths: int
    clean_runs: int
    requests: int
    least_requests: int
    trace: list[str]
    error: str | None


def make_template(server: EmbeddedPostgres) -> None:
    """A database with our schema and the simulated clock."""
    server.ensure_database(TEMPLATE)
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {TEMPLATE} SET {BEGINS_AT}")
    with psycopg.connect(server.uri(TEMPLATE), autocommit=True) as connection:
        connection.execute(CLOCK_SQL)
    with connect(server.uri(TEMPLATE)) as session:
        migrate(session, migrations_by_its_clock())


class Worlds:
    """One database, in which one world after another plays."""

    def __init__(self, server: EmbeddedPostgres, name: str) -> None:
        copy_database(server, TEMPLATE, name)
        with psycopg.connect(server.uri(name), autocommit=True) as connection:
            for setting in ("plan_cache_mode = force_generic_plan", "jit = off", BEGINS_AT):
                connection.execute(f"ALTER DATABASE {name} SET {setting}")
        self.backends = Backends(server.uri(name))

    def close(self) -> None:
        """End its sessions."""
        self.backends.close()

    def simulate(self, seed: int) -> Simulated:
        """Safety in storms, then liveness in fair weather."""
        return _simulated(World(seed, self._emptied(with_months=seed % MONTHS_GO_EVERY == 0)))

    def simulate_hours(self, seed: int, number: int) -> tuple[Hours, Hours]:
        """The seed's world without faults, and with them."""
        calm, faulty = (
            hours.played(
                World(seed, self._emptied(), history_ms=hours.history_of(number), rows_per_page=hours.ROWS_PER_PAGE),
                number,
                with_faults=with_faults,
            )
            for with_faults in (False, True)
        )
        return calm, faulty

    def _emptied(self, *, with_months: bool = True) -> Backends:
        if with_months:
            self.backends.admin.execute("SELECT sim.drop_months()")
        self.backends.admin.execute("SELECT sim.delete_all()")
        return self.backends


def _simulated(world: World) -> Simulated:
    model = Model(world)
    error: str | None = None
    clean_runs = requests = least = 0
    with world.living():
        try:
            world.declare()
            for _ in range(FAULTY_RUNS):
                world.run(world.storm(), validate=world.dice.random() < 0.3)
                model.check_safety()
            before = world.network.asked
            while True:
                due = model.due(world.windows())
                # A validation compares a page of each series with the other source.
                least += model.least_requests(due) + (len(world.sources) - 1) * len(world.windows())
                outcome = world.run(FAIR, validate=True)
                clean_runs += 1
                model.check_safety()
                assert not isinstance(outcome, str), f"in fair weather: {outcome}"
                missing, wrong = model.missing(due), model.wrong(due)
                if not missing and not wrong:
                    break
                assert clean_runs < MOST_CLEAN_RUNS, f"still not whole: {missing[:5]} {wrong[:2]}"
            requests = world.network.asked - before
            assert not world.network.broken_bans, f"asked while banned: {world.network.broken_bans[:3]}"
            assert requests <= (1 + SPARE_SHARE) * least + SPARE_REQUESTS, f"{requests} requests, {least} would do"
        except Exception:  # noqa: BLE001 - whatever escapes is a finding
            error = traceback.format_exc(limit=-6)
        return Simulated(
            world.seed, world.digest(), world.faults, world.deaths, clean_runs, requests, least, world.trace, error
        )


@contextmanager
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server of this process, removed in the end."""
    home = new_server_home("candle-keeper-worlds-")
    home.mkdir()
    home.chmod(0o755)
    server = EmbeddedPostgres(home, durable=False)
    try:
        server.start()
        make_template(server)
        yield server
    finally:
        server.remove()
        home.rmdir()


def main() -> int:
    """Print each failure with the command that repeats it; 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", help="one, from-to with both included, or `random`")
    parser.add_argument(
        "--hours", type=int, help="runs every half hour of so many hours, against the same without faults"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--trace", action="store_true", help="print what happened")
    args = parser.parse_args()
    text = str(secrets.randbelow(1 << 30)) if args.seeds == "random" else args.seeds
    first, _, last = text.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    with own_server() as server:
        if args.hours:
            return _hours(Worlds(server, "worlds"), seeds, args)
        return _worlds(server, seeds, args)


def _simulated_by_several(server: EmbeddedPostgres, seeds: range, jobs: int) -> Iterator[Simulated]:
    """In order; each process has a database of its own."""
    with get_context("fork").Pool(min(jobs, len(seeds)), _prepare, (server,)) as pool:
        yield from pool.imap(_simulate, seeds)


def _prepare(server: EmbeddedPostgres) -> None:
    global _own
    _own = Worlds(server, f"worlds_{os.getpid()}")


def _simulate(seed: int) -> Simulated:
    return _own.simulate(seed)


def _worlds(server: EmbeddedPostgres, seeds: range, args: argparse.Namespace) -> int:
    failed, began, results = 0, time.monotonic(), []
    for result in _simulated_by_several(server, seeds, args.jobs):
        if args.trace:
            print(*result.trace, sep="\n")
        if result.error:
            failed += 1
            again = f"python tests/simulation/seeds.py {result.seed} --trace"
            print(f"seed {result.seed}: {result.error}  again: {again}", flush=True)
        results.append(replace(result, trace=[]))
    took_s = time.monotonic() - began
    print(
        f"{len(results)} seeds in {took_s:.0f} s ({len(results) / took_s:.1f} a second), {failed} failed; "
        f"{sum(one.faults for one in results)} faults, {sum(one.deaths for one in results)} deaths, "
        f"{sum(one.requests for one in results)} requests where {sum(one.least_requests for one in results)} would do"
    )
    if len(results) == 1:
        print(results[0].digest)
    return 1 if failed else 0


def _hours(worlds: Worlds, seeds: range, args: argparse.Namespace) -> int:
    failed = 0
    for seed in seeds:
        calm, faulty = worlds.simulate_hours(seed, args.hours)
        if args.trace:
            print(*faulty.trace, sep="\n")
        share = faulty.answered / max(1, calm.asked)
        error = calm.error or faulty.error
        if error is None and share > hours.MOST:
            error = f"more than {hours.MOST} of the requests of the same world without faults\n"
        print(
            f"seed {seed}: {faulty.runs} runs, {faulty.stormy} with {faulty.faults} faults and {faulty.deaths} deaths; "
            f"{faulty.asked} requests, {faulty.spoiled} of them spoiled by a fault; without faults {calm.asked}: "
            f"{share:.3f}; {faulty.missing} bars missing, {faulty.wrong} wrong",
            flush=True,
        )
        if error:
            failed += 1
            print(f"  {error}  again: python tests/simulation/seeds.py {seed} --hours {args.hours} --trace", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What it costs to work as behind a pooler: settings with each transaction, nothing prepared, claims instead of locks.

Without a pooler in between: `?pgbouncer=true` in the address, on the same server.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from throw_away import throw_away_database

from backfill.storage.database import Connection, connect

STATEMENTS, ROUNDS = 300, 5


def main() -> None:
    with throw_away_database() as uri, connect(uri) as direct, connect(f"{uri}&pgbouncer=true") as pooled:
        print(f"microseconds each, the fastest of {ROUNDS} rounds of {STATEMENTS:,}")
        print(f"{'':30}{'direct':>10}{'pooled':>10}")
        for what, work in (("a statement alone", _alone), ("a transaction of three", _transaction)):
            print(f"{what:30}{_fastest_us(work, direct):10.0f}{_fastest_us(work, pooled):10.0f}")
        for what, address in (("opening a connection", uri), ("the same, pooler named", f"{uri}&pgbouncer=true")):
            print(f"{what:30}{_fastest_us(lambda _, at=address: connect(at).close(), direct, 20):10.0f}")


def _alone(connection: Connection) -> None:
    connection.execute("SELECT count(*) FROM series WHERE id = %s", (1,)).fetchone()


def _transaction(connection: Connection) -> None:
    with connection.transaction():
        for _ in range(3):
            connection.execute("SELECT count(*) FROM series WHERE id = %s", (1,)).fetchone()


def _fastest_us(work: Callable[[Connection], None], connection: Connection, times: int = STATEMENTS) -> float:
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            work(connection)
        rounds.append((time.perf_counter() - began) / times * 1e6)
    return min(rounds)


if __name__ == "__main__":
    main()

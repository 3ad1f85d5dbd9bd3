"""One rate budget per source and address, in Postgres."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Literal, NamedTuple

from psycopg import Rollback, Transaction

from backfill.errors import RateLimited
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.named_queries import query

# The exchange counts requests on arrival, we when they may leave, seconds earlier on a busy machine. So periods are
# longer by the most that one burst may lag the next, and some requests are left for a person: 1485 in 306 s of Blofin's
# 1500 in 300 s. A request late by half the margin takes another turn. Short periods are longer by a share only.
PERIOD_MARGIN_MS = 6_000
MARGIN_PERCENT = 10
SPARE_PERCENT = 1
# A longer wait, as for a day's quota, is an error, and its turn is given back.
LONGEST_WAIT_MS = 2 * 3_600_000
# Which requests a budget counts. A request that its source limits on its own too takes a turn of both.
Pool = Literal["requests", "funding"]


class _Turn(NamedTuple):
    """When to send, after which wait, and when the last pause ended."""

    at_ms: int
    wait_ms: int
    resumed_ms: int


class PauseCheck:
    """A read-only check that refuses requests during a pause."""

    def __init__(
        self,
        connection: Connection,
        source: str,
        source_id: int | None,
        *,
        pool: Pool = "requests",
        lock: threading.Lock | None = None,
    ) -> None:
        self._connection = connection
        self._source = source
        self._row = {"source_id": source_id, "pool": pool}
        self._lock = lock or threading.Lock()

    def take_turn(self) -> None:
        """Raise :class:`RateLimited` while the source is paused."""
        self._look_unless_paused()

    def pause(self, error: RateLimited) -> None:
        """Do nothing: the next worker meets the same limit."""

    def _look_unless_paused(self) -> tuple[int, int]:
        """Now and the last pause's end in ms. Raises :class:`RateLimited` during one."""
        with self._lock, translated_errors():
            row = self._connection.execute(query("sources/select_pause"), self._row).fetchone()
        if row is None:  # no worker has asked it yet
            return 0, 0
        resumed_ms, reason, now_ms = row
        if resumed_ms > now_ms:
            raise RateLimited(self._source, f"paused for all processes: {reason}", (resumed_ms - now_ms) / 1000)
        return now_ms, resumed_ms


class RateBudget(PauseCheck):
    """The budget of one pool of a source, thread-safe, on a connection that only budgets with the same ``lock`` use.

    All times are the database's. The first request after a pause is a probe; others follow two seconds later unless it
    is refused.
    """

    def __init__(
        self,
        connection: Connection,
        source: str,
        source_id: int,
        limits_per_period_s: tuple[tuple[int, int], ...],
        *,
        pool: Pool = "requests",
        spacing_ms: int = 0,
        margin_ms: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
        lock: threading.Lock | None = None,
    ) -> None:
        super().__init__(connection, source, source_id, pool=pool, lock=lock)
        periods_ms = [period_s * 1000 for _, period_s in limits_per_period_s]
        margins_ms = [default_margin_ms(period_ms) if margin_ms is None else margin_ms for period_ms in periods_ms]
        self._late_ms = min(margins_ms) // 2
        self._has_quota = max(periods_ms) > LONGEST_WAIT_MS
        self._sleep = sleep
        params = {
            **self._row,
            "limits": [limit - limit * SPARE_PERCENT // 100 for limit, _ in limits_per_period_s],
            "periods_ms": [sum(both) for both in zip(periods_ms, margins_ms, strict=True)],
            "spacing_ms": spacing_ms,
        }
        with self._lock, translated_errors():
            connection.execute(query("sources/upsert_rate_budget"), params)

    def take_turn(self) -> None:
        """Wait until one request may be sent, at most the longest period.

        Raises :class:`RateLimited` during a pause, up to an hour, and if a quota is used up: too long to wait.
        """
        while True:
            turn = self._reserve()
            if turn.wait_ms == 0:
                return
            self._sleep(turn.wait_ms / 1000)
            now_ms, resumed_ms = self._look_unless_paused()
            if resumed_ms == turn.resumed_ms and now_ms <= turn.at_ms + self._late_ms:
                return

    def pause(self, error: RateLimited) -> None:
        """Stop all processes from asking for ``error.retry_after_s``."""
        params = {
            **self._row,
            "for": timedelta(seconds=error.retry_after_s),
            "reason": str(error),
        }
        with self._lock, translated_errors():
            self._connection.execute(query("sources/pause_source"), params)

    def _reserve(self) -> _Turn:
        params = {**self._row, "wanted": 1}
        while True:
            with self._lock, translated_errors(), self._taking_back() as taken:
                waits_ms, now_ms, resumed_ms = fetch_one(self._connection, query("sources/reserve_requests"), params)
                if waits_ms[0] > LONGEST_WAIT_MS:
                    raise Rollback(taken)
            if waits_ms[0] > LONGEST_WAIT_MS:
                raise RateLimited(self._source, "the quota is used up", waits_ms[0] / 1000)
            if waits_ms[0] >= 0:
                return _Turn(now_ms + waits_ms[0], waits_ms[0], resumed_ms)
            self._look_unless_paused()  # if the pause has just ended, reserve again

    def _taking_back(self) -> AbstractContextManager[Transaction | None]:
        """A transaction where a turn may have to be given back."""
        return self._connection.transaction() if self._has_quota else nullcontext()


def default_margin_ms(period_ms: int) -> int:
    """How much longer a period is taken than the source takes it."""
    return min(PERIOD_MARGIN_MS, period_ms * MARGIN_PERCENT // 100)

"""One rate budget a source, in Postgres, for every process of this address."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from backfill.errors import RateLimited
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.named_queries import query

# The exchange counts when a request arrives, we count when it may leave, and a busy computer is seconds late with it:
# its periods are kept longer by as much as one burst may be later than the next, and a few requests are left for a
# person at the same address. Of Blofin's 1500 requests in 300 s that makes 1485 in 306 s: 97 %. Who is late by half
# of the margin before it asks (its process was stopped, its computer slept) lets the turn go and takes another.
PERIOD_MARGIN_MS = 6_000
SPARE_PERCENT = 1


class _Turn(NamedTuple):
    """When one request may be sent and when the pause before that ended, by the database's clock; how long to wait."""

    at_ms: int
    wait_ms: int
    resumed_ms: int


class PauseCheck:
    """The manners of one who only reads: no request while the source is paused. Nothing is reserved or written.

    For a request or two of a person who looks; a worker takes a :class:`RateBudget`.
    """

    def __init__(self, connection: Connection, source: str, source_id: int | None) -> None:
        self._connection = connection
        self._source = source
        self._source_id = source_id
        self._lock = threading.Lock()

    def take_turn(self) -> None:
        """Raises :class:`RateLimited` while the source is paused."""
        self._look_unless_paused()

    def pause(self, error: RateLimited) -> None:
        """Nothing: the next worker that asks finds the same."""

    def _look_unless_paused(self) -> tuple[int, int]:
        """What time it is and when the last pause ended, in ms; raises :class:`RateLimited` in the middle of one."""
        params = {"source_id": self._source_id}
        with self._lock, translated_errors():
            row = self._connection.execute(query("sources/select_pause"), params).fetchone()
        if row is None:  # no worker has asked it yet
            return 0, 0
        resumed_ms, reason, now_ms = row
        if resumed_ms > now_ms:
            raise RateLimited(self._source, f"paused for all processes: {reason}", (resumed_ms - now_ms) / 1000)
        return now_ms, resumed_ms


class RateBudget(PauseCheck):
    """The budget of one source. Safe to share between threads; it has a connection of its own.

    All times are the database's, so workers whose clocks disagree still share one budget. After a pause the first
    request is a probe: the others follow two seconds later, if it has not been refused.
    """

    def __init__(
        self,
        connection: Connection,
        source: str,
        source_id: int,
        limits_per_period_s: tuple[tuple[int, int], ...],
        *,
        spacing_ms: int = 0,
        margin_ms: int = PERIOD_MARGIN_MS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(connection, source, source_id)
        self._late_ms = margin_ms // 2
        self._sleep = sleep
        params = {
            "source_id": source_id,
            "limits": [limit - limit * SPARE_PERCENT // 100 for limit, _ in limits_per_period_s],
            "periods_ms": [period_s * 1000 + margin_ms for _, period_s in limits_per_period_s],
            "spacing_ms": spacing_ms,
        }
        with translated_errors():
            connection.execute(query("sources/upsert_rate_budget"), params)

    def take_turn(self) -> None:
        """Wait until one request may be sent: at most the longest period, however much there is to do.

        Raises :class:`RateLimited` while the source is paused: that is minutes to an hour, not worth holding a
        worker for.
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
        """Stop every process from asking for as long as ``error`` says."""
        params = {
            "source_id": self._source_id,
            "for": timedelta(seconds=error.retry_after_s),
            "reason": str(error),
        }
        with self._lock, translated_errors():
            self._connection.execute(query("sources/pause_source"), params)

    def _reserve(self) -> _Turn:
        params = {"source_id": self._source_id, "wanted": 1}
        while True:
            with self._lock, translated_errors():
                waits_ms, now_ms, resumed_ms = fetch_one(self._connection, query("sources/reserve_requests"), params)
            if waits_ms[0] >= 0:
                return _Turn(now_ms + waits_ms[0], waits_ms[0], resumed_ms)
            self._look_unless_paused()  # unless the pause has just ended: then nothing is reserved yet

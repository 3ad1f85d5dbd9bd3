"""One rate budget a source, in Postgres, for every process of this address."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from backfill.errors import RateLimited
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.named_queries import query

# The exchange counts when a request arrives, we count when it may leave: its periods are kept a little longer, and
# a few requests are left for a person at the same address.
PERIOD_MARGIN_MS = 2_000
SPARE_PERCENT = 2


class RateBudget:
    """The budget of one source. Safe to share between threads; it has a connection of its own.

    All times are the database's, so workers whose clocks disagree still share one budget.
    """

    def __init__(
        self,
        connection: Connection,
        source: str,
        source_id: int,
        limits_per_period_s: tuple[tuple[int, int], ...],
        *,
        spacing_ms: int = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = connection
        self._source = source
        self._source_id = source_id
        self._sleep = sleep
        self._lock = threading.Lock()
        params = {
            "source_id": source_id,
            "limits": [limit - limit * SPARE_PERCENT // 100 for limit, _ in limits_per_period_s],
            "periods_ms": [period_s * 1000 + PERIOD_MARGIN_MS for _, period_s in limits_per_period_s],
            "spacing_ms": spacing_ms,
        }
        with translated_errors():
            connection.execute(query("upsert_rate_budget"), params)

    def take_turn(self) -> None:
        """Wait until one request may be sent: at most the longest period, however much there is to do.

        Raises :class:`RateLimited` while the source is paused: that is minutes to an hour, not worth holding a
        worker for.
        """
        wait_ms = self._reserve()
        if wait_ms > 0:
            self._sleep(wait_ms / 1000)
            self._raise_if_paused()

    def pause(self, error: RateLimited) -> None:
        """Stop every process from asking for as long as ``error`` says."""
        params = {
            "source_id": self._source_id,
            "for": timedelta(seconds=error.retry_after_s),
            "reason": str(error),
        }
        with self._lock, translated_errors():
            self._connection.execute(query("pause_source"), params)

    def _reserve(self) -> int:
        params = {"source_id": self._source_id, "wanted": 1}
        while True:
            with self._lock, translated_errors():
                wait_ms = int(fetch_one(self._connection, query("reserve_requests"), params)[0][0])
            if wait_ms >= 0:
                return wait_ms
            self._raise_if_paused()  # unless the pause has just ended: then nothing is reserved yet

    def _raise_if_paused(self) -> None:
        with self._lock, translated_errors():
            left_ms, reason = fetch_one(self._connection, query("select_pause"), {"source_id": self._source_id})
        if left_ms > 0:
            raise RateLimited(self._source, f"paused for all processes: {reason}", left_ms / 1000)

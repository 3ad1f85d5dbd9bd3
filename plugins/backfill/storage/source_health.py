"""The circuit breaker of each source, shared by all processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from backfill.errors import BadPayload, DatabaseError, ExchangeError, ExchangeUnreachable, GeoBlocked
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.named_queries import query

# A probe may take three tries of three 10 s time-outs, with pauses.
PROBE_LEASE = timedelta(minutes=2)
WAIT_FOR_PROBE_S = 0.5


class Skip(NamedTuple):
    """Failures in a row before a skip, its first and longest duration."""

    threshold: int
    first: timedelta
    longest: timedelta


# Outages may be short, a geo-block lasts. A rate limit pauses the budget; other errors are the request's fault.
SKIPS: dict[type[ExchangeError], Skip] = {
    GeoBlocked: Skip(1, timedelta(hours=1), timedelta(hours=12)),
    ExchangeUnreachable: Skip(3, timedelta(minutes=1), timedelta(minutes=30)),
    BadPayload: Skip(3, timedelta(minutes=1), timedelta(minutes=30)),
}


class SourceHealth:
    """The breakers, on behalf of one run."""

    def __init__(self, connection: Connection, run: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._connection = connection
        self._run = run
        self._sleep = sleep
        self._probing: set[int] = set()

    def may_ask(self, source_id: int) -> bool:
        """Whether the source is well or this caller is its probe; waits for another's probe.

        Call :meth:`release_probe` at the end.
        """
        params = {"source_id": source_id, "run": self._run, "probe_lease": PROBE_LEASE}
        while True:
            with translated_errors():
                verdict = fetch_one(self._connection, query("sources/may_ask_source"), params)[0]
            if verdict == "probe":
                self._probing.add(source_id)
            if verdict != "wait":
                return verdict in ("ask", "probe")
            self._sleep(WAIT_FOR_PROBE_S)

    def release_probe(self, source_id: int) -> None:
        """Release the probe unless an outcome was recorded."""
        if source_id in self._probing:
            self._probing.discard(source_id)
            with suppress(DatabaseError), translated_errors():  # otherwise the lease runs out
                self._connection.execute(query("sources/release_probe"), {"source_id": source_id, "run": self._run})

    def is_broken(self, source_id: int) -> bool:
        """Whether the source is skipped now, even by a probe."""
        return self._breaker(source_id) == "open"

    def is_well(self, source_id: int) -> bool:
        return self._breaker(source_id) == "closed"

    def has_answered(self, source_id: int) -> None:
        """Close the breaker after a good answer."""
        with translated_errors():
            self._connection.execute(query("sources/source_has_answered"), {"source_id": source_id})

    def has_failed(self, source_id: int, error: ExchangeError, *, at_once: bool = False) -> None:
        """Count ``error`` unless the request caused it; ``at_once``: one is enough."""
        skip = next((skip for kind, skip in SKIPS.items() if isinstance(error, kind)), None)
        if skip is None:
            return
        if at_once:
            skip = skip._replace(threshold=1)
        params = {"source_id": source_id, "run": self._run, "error": str(error), **skip._asdict()}
        with translated_errors():
            self._connection.execute(query("sources/source_has_failed"), params)

    def _breaker(self, source_id: int) -> str:
        with translated_errors():
            row = self._connection.execute(query("sources/select_breaker"), {"source_id": source_id}).fetchone()
        return "closed" if row is None else str(row[0])

    def all(self) -> list[dict[str, Any]]:
        """One row per source: breaker, pause, and answers of the last day."""
        with translated_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query("sources/select_source_health"), {"at": None}).fetchall()

"""Sessions on the real test server whose statements fail as the world says: before, in, and after a statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg._preparing import PrepareManager
from psycopg.pq import TransactionStatus

from backfill.storage.session import Raw, Session
from simulation.clock import SEARCH_PATH

if TYPE_CHECKING:
    from simulation.world import World

# SQLSTATE of errors that end a statement and leave the session.
ROLLED_BACK = {"serialization": "40001", "deadlock": "40P01", "lock_timeout": "55P03", "statement_timeout": "57014"}
# "before": the session ends and the statement was not run; "after": it was, and nobody hears of it.
SESSION_ENDS = ("before", "after")
# Of a whole run.
READ_ONLY, DISK_FULL = "read-only", "disk full"
LOST = "server closed the connection unexpectedly"
RENEWED = f"RESET ALL; SET search_path TO {SEARCH_PATH}; SELECT pg_advisory_unlock_all()".encode()


class SimSession(Session):
    """A session of the simulated world."""

    def __init__(self, world: World, address: str, **how: Any) -> None:
        self._world = world
        super().__init__(address, **how)

    def _connected(self, options: str | None) -> Raw:
        self._world.step("connect")
        if refused := self._world.refused_connection():
            raise psycopg.OperationalError(refused)
        raw = SimConnection(
            self._world, self._world.backends.taken(lambda: super(SimSession, self)._connected(options))
        )
        if self._world.weather.lasting == READ_ONLY:
            raw.execute("SET default_transaction_read_only = on")
        self._world.connections.append(raw)
        return raw  # type: ignore[return-value]


class KeepsPlans(PrepareManager):
    """What psycopg has prepared; it would throw all away after a rollback, in case that it took a table back."""

    def clear(self) -> bool:
        """Keep it: worlds make no tables that a query names."""
        return False


class Backends:
    """Server sessions that one world after another uses, since a new one has to read its catalogues and plan first."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.admin = psycopg.connect(uri, autocommit=True)
        self.closed = psycopg.connect(uri)
        self.closed.close()
        self._idle: list[Raw] = []

    def taken(self, opened: Callable[[], Raw]) -> Raw:
        """One as good as new."""
        if self._idle:
            return self._idle.pop()
        real = opened()
        real._prepared = KeepsPlans()
        real.prepare_threshold, real.prepared_max = 0, 1000
        real.pgconn.exec_(RENEWED)
        return real

    def give_back(self, real: Raw) -> None:
        """One outside a transaction. What would end with a session ends."""
        real.pgconn.exec_(RENEWED)
        self._idle.append(real)

    def close(self) -> None:
        """End all."""
        for real in (self.admin, *self._idle):
            real.close()


class SimConnection:
    """The part of psycopg's connection that a session uses."""

    def __init__(self, world: World, real: Raw) -> None:
        self.__dict__.update(_world=world, _real=real, pgconn=real.pgconn, _pid=real.info.backend_pid, _told_ms=None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)

    def execute(self, sql: Any, params: Any = None) -> psycopg.Cursor[Any]:
        self._fail("before", what := _shown(sql))
        self._tell_time()
        cursor = self._real.execute(sql, params)
        self._world.saw(f"  {cursor.rowcount}")
        if self._real.pgconn.transaction_status == TransactionStatus.IDLE:
            self._fail("after", what)
        return cursor

    @contextmanager
    def cursor(self, **how: Any) -> Iterator[psycopg.Cursor[Any]]:
        self._fail("before", "cursor")
        self._tell_time()
        with self._real.cursor(**how) as cursor:
            yield cursor

    @contextmanager
    def transaction(self, *, force_rollback: bool = False) -> Iterator[None]:
        outermost = self._real.pgconn.transaction_status == TransactionStatus.IDLE
        if outermost:
            self._fail("before", "BEGIN")
            self._tell_time()
        told_ms = self._told_ms
        try:
            with self._real.transaction(force_rollback=force_rollback):
                yield
                if outermost:
                    self._fail("before", "COMMIT")
        finally:
            if self._told_ms != told_ms:  # a rollback sets it back
                self.__dict__["_told_ms"] = None
        if outermost:
            self._fail("after", "COMMIT")

    def close(self) -> None:
        """In order."""
        self.end()

    def end(self) -> None:
        """The socket is closed, and the server has noticed."""
        real, backends = self._real, self._world.backends
        if real.closed:
            return
        if real.pgconn.transaction_status == TransactionStatus.IDLE:
            self.__dict__.update(_real=backends.closed, pgconn=backends.closed.pgconn)
            backends.give_back(real)
        else:
            real.pgconn.finish()
            self._world.wait_until_gone(self._pid)

    def _tell_time(self) -> None:
        """Postgres' clock goes as Python's."""
        now_ms = self._world.clock.now_ms
        if self._told_ms != now_ms and self._real.pgconn.transaction_status != TransactionStatus.INERROR:
            self._real.pgconn.exec_(b"SET sim.at_ms = %d" % now_ms)
            self.__dict__["_told_ms"] = now_ms

    def _fail(self, when: str, what: str) -> None:
        if self._real.closed:
            raise psycopg.OperationalError("the connection is closed")
        if when == "before":
            self._world.step(what)
        fault = self._world.sql_fault(when, what)
        if fault is None:
            return
        self._world.saw(f"  fault {fault}")
        if fault in SESSION_ENDS:
            self.end()
            raise psycopg.OperationalError(LOST)
        state = ROLLED_BACK.get(fault, "53100")
        self._real.execute(f"DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{state}'; END $$")


def _shown(sql: Any) -> str:
    return _first_line(sql if isinstance(sql, str) else type(sql).__name__)


@cache
def _first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line and not line.startswith("--")]
    return " ".join(lines[0].split())[:70] if lines else ""

"""A connection that does not depend on the server's defaults, and is opened again when it was lost.

docs/decisions/0027-sessions.md says what is set, how a pooler is found, and what is tried again.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from backfill.errors import DatabaseError

log = logging.getLogger(__name__)

Raw = psycopg.Connection[TupleRow]
T = TypeVar("T")

CONNECT_TIMEOUT_S = 10
# What our SQL and psycopg's parsing need, whatever server, database and role have set.
NEEDED = {
    "search_path": "backfill,public",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # Compiling our longest queries takes a server with LLVM many times as long as running them.
    "jit": "off",
}
# Waiting for an exchange is our work. Older servers lack no setting here: it came with PostgreSQL 14.
PREFERRED = {"idle_session_timeout": "0"}
_OPTIONS = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in {**PREFERRED, **NEEDED}.items())
# Utility statements in one message: after a SELECT, the first query, the isolation could not be set.
_SET_LOCAL = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path TO backfill, public; " + "; ".join(
    f"SET LOCAL {name} TO '{value}'"
    for name, value in NEEDED.items()
    if not name.startswith(("default_", "search_path"))
)
_LOOK = "SELECT pg_backend_pid(), " + ", ".join(f"current_setting('{name}')" for name in NEEDED)

# The statement was rolled back: serialization, deadlock, lock_timeout, statement_timeout.
ROLLED_BACK = ("40001", "40P01", "55P03", "57014")
# The session is gone, by SQLSTATE class or code; without one libpq lost it.
LOST = ("08", "57P", "25P03", "53300")
_IN_TRANSACTION = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
_REFUSES_OPTIONS = re.compile("unsupported startup parameter|options")
# A refused connection has no SQLSTATE; these pass.
_PASSING = re.compile(
    "too many (clients|connections)|remaining connection slots|starting up|shutting down|recovery mode"
    "|not yet accepting|max_client_conn|no more connections"
)
TRIES = 3
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
# How long a first connection waits for a free place, and a lost one for a restart or a failover.
OPEN_PATIENCE_S = 3.0
REOPEN_PATIENCE_S = 60.0


class OpenedSession(NamedTuple):
    """A checked connection; ``pooled``: each transaction may meet another server session."""

    raw: Raw
    pooled: bool


def is_lost(error: psycopg.Error) -> bool:
    """Whether the session has ended."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(LOST)


def is_transient(error: BaseException) -> bool:
    """Whether the same may succeed when tried again."""
    if not isinstance(error, psycopg.Error):
        return False
    return is_lost(error) or (error.sqlstate in ROLLED_BACK and "user request" not in str(error))


class Session:
    """The part of psycopg's autocommit connection that we use. Not thread-safe.

    ``opens``: how often it was opened; what a session holds (locks) is lost when that grows. ``pooled``: there may be
    another server session behind each transaction. ``sleep``: how to wait.
    """

    def __init__(
        self, address: str, *, pooled: bool = False, application_name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._address = address
        self._known_pooled = pooled
        self._application_name = application_name
        self.sleep = sleep
        self._closed = False
        self._depth = 0
        self.opens = 0
        self._open(OPEN_PATIENCE_S, _PASSING)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- psycopg's names

    @property
    def info(self) -> psycopg.ConnectionInfo:
        """psycopg's; behind a pooler its backend_pid is the pooler's."""
        return self._raw.info

    @property
    def autocommit(self) -> bool:
        """Always: a transaction is opened by name."""
        return self._raw.autocommit

    @property
    def closed(self) -> bool:
        """Whether it was closed by us; a lost one is opened again."""
        return self._closed

    def close(self) -> None:
        """Close for good."""
        self._closed = True
        self._raw.close()

    def execute(self, sql: Any, params: Any = None) -> psycopg.Cursor[TupleRow]:
        """Execute; outside a transaction, again after a passing fault.

        If the connection ends in mid-statement, its result is unknown: repeated, our statements at worst count an
        attempt twice.
        """
        if self.in_transaction:
            return self._raw.execute(sql, params)
        return self.repeated(lambda: self._execute_alone(sql, params))

    @contextmanager
    def cursor(self, **how: Any) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor, behind a pooler in a transaction of its own."""
        if self.in_transaction:
            with self._raw.cursor(**how) as cursor:
                yield cursor
            return
        self.ready()
        if not self.pooled:
            with self._raw.cursor(**how) as cursor:
                yield cursor
            return
        with self.transaction(), self._raw.cursor(**how) as cursor:
            yield cursor

    @contextmanager
    def transaction(self, *, force_rollback: bool = False) -> Iterator[None]:
        """A transaction, or a savepoint inside one."""
        if self.in_transaction:
            with self._raw.transaction(force_rollback=force_rollback):
                yield
            return
        self.ready()
        self._depth += 1
        try:
            with self._raw.transaction(force_rollback=force_rollback):
                if self.pooled:
                    self._raw.execute(_SET_LOCAL)
                yield
        finally:
            self._depth -= 1

    # -- our own

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, or broke with its connection and was not left yet."""
        return self._depth > 0 or self._raw.pgconn.transaction_status in _IN_TRANSACTION

    def ready(self) -> None:
        """Outside a transaction, open the connection again if it was lost while we did other things."""
        if self._closed or self.in_transaction:
            return
        pgconn = self._raw.pgconn
        if not self._raw.closed:
            try:
                for _ in range(2):  # no round trip: the server's last words, and their end
                    pgconn.consume_input()
            except psycopg.OperationalError:
                self._raw.close()
        if self._raw.closed or self._raw.broken:
            log.warning("the connection to Postgres was closed while it waited, and is opened again")
            self._raw.close()
            self._open(REOPEN_PATIENCE_S)

    def repeated(self, work: Callable[[], T]) -> T:
        """``work``, a statement or a whole transaction, again after a passing fault, at most :data:`TRIES` times."""
        for number in range(1, TRIES + 1):
            try:
                return work()
            except psycopg.Error as error:  # noqa: PERF203 - a try is a round trip
                if number == TRIES or self._closed or self.in_transaction or not is_transient(error):
                    raise
                log.warning("Postgres: %s; tried again", " ".join(str(error).split()))
                self.sleep(FIRST_WAIT_S * 4 ** (number - 1))
                self.ready()
        raise AssertionError

    def _execute_alone(self, sql: Any, params: Any) -> psycopg.Cursor[TupleRow]:
        self.ready()
        if not self.pooled:
            return self._raw.execute(sql, params)
        try:
            # Not in a pipeline: psycopg would choose how to read times before it hears of our DateStyle.
            self._raw.execute(f"BEGIN; {_SET_LOCAL}")
            cursor = self._raw.execute(sql, params)
            self._raw.execute("COMMIT")
        except BaseException:
            if not self._raw.closed:
                self._raw.rollback()
            raise
        return cursor

    def _open(self, patience_s: float, passing: re.Pattern[str] | None = None) -> None:
        """Try until ``patience_s``; with ``passing`` only after errors that match it."""
        deadline, wait_s = time.monotonic() + patience_s, FIRST_WAIT_S
        while True:
            try:
                self._raw, self.pooled = self._opened()
            except psycopg.OperationalError as error:  # noqa: PERF203
                may_pass = passing is None or passing.search(str(error))
                if not may_pass or time.monotonic() + wait_s > deadline:
                    raise
                self.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            else:
                self.opens += 1
                return

    def _opened(self) -> OpenedSession:
        if self._known_pooled:
            return OpenedSession(self._connected(None), pooled=True)
        try:
            raw = self._connected(_OPTIONS)
        except psycopg.OperationalError as error:
            if not _REFUSES_OPTIONS.search(str(error)):
                raise
            raw = self._connected(None)  # pgbouncer takes no options
        try:
            return OpenedSession(raw, pooled=self._checked(raw))
        except BaseException:
            raw.close()
            raise

    def _connected(self, options: str | None) -> Raw:
        theirs = psycopg.conninfo.conninfo_to_dict(self._address).get("options")
        return psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=self._application_name,
            client_encoding="UTF8",
            # A dead peer is noticed in a minute; by default in two hours.
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            prepare_threshold=5 if options else None,
            options=" ".join(str(one) for one in (theirs, options) if one),
        )

    def _checked(self, raw: Raw) -> bool:
        """Whether a pooler stands between; behind none the settings must be ours."""
        encoding = raw.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise DatabaseError(
                f"the database's encoding is {encoding}, which cannot hold every name: create one with "
                "ENCODING 'UTF8' TEMPLATE template0"
            )
        row = raw.execute(_LOOK).fetchone() or ()
        if row[0] != raw.info.backend_pid:  # a pooler has keys of its own
            raw.prepare_threshold = None
            self._known_pooled = True
            return True
        for (name, needed), found in zip(NEEDED.items(), row[1:], strict=True):
            if _plain(found) != _plain(needed):
                raw.execute("SELECT set_config(%s, %s, false)", (name, needed))
                log.debug("%s was %s", name, found)
        return False


def _plain(value: str) -> str:
    return value.replace(" ", "").lower()

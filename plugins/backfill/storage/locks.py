"""One worker at a time on a series or on a source's list, also behind a transaction pooler.

In a session of its own a worker holds an advisory lock, which ends with it. Behind a pooler it holds a row of
``claims``, which runs out. Each checks for the other (docs/decisions/0027-sessions.md).
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

from backfill.errors import DatabaseError
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.named_queries import query

log = logging.getLogger(__name__)

# Longer than between two pages of a worker; a killed worker's series waits as long.
CLAIM_LIFE = timedelta(minutes=5)
POLL_S = 0.25
FIRST_NOTE_S, NOTE_AGAIN_S = 1.0, 30.0

# The error to raise, from the seconds waited and who holds the lock.
Busy = Callable[[float, str], DatabaseError]


class Hold:
    """A held lock. ``busy`` makes the error if another worker has it."""

    def __init__(self, connection: Connection, lock_class: int, key: int, what: str, busy: Busy) -> None:
        self._connection = connection
        self._key: dict[str, Any] = {
            "lock_class": lock_class,
            "lock_key": key,
            "holder": uuid4(),
            "claimed_by": f"process {os.getpid()} on {socket.gethostname()}",
            "life": CLAIM_LIFE,
        }
        self._what = what
        self._busy = busy
        self._opens = 0

    def take(self, patience_s: float) -> None:
        """Wait for the lock, and log who holds it; raises the error of ``busy``."""
        began, note_s = monotonic(), FIRST_NOTE_S
        with translated_errors():
            while not self._tried():
                waited_s = monotonic() - began
                if waited_s > patience_s:
                    raise self._busy(waited_s, self._holder())
                if waited_s > note_s:
                    log.warning("waiting for %s, which is held by %s", self._what, self._holder())
                    note_s = waited_s + NOTE_AGAIN_S
                self._connection.sleep(POLL_S)

    def keep(self) -> None:
        """Before a writing transaction: take the lock again if the session was lost."""
        self._connection.ready()
        if not self._connection.pooled and self._opens != self._connection.opens:
            self.take(0)

    def renew(self) -> None:
        """Inside a transaction that writes: a claim must still be ours."""
        if not self._connection.pooled:
            return
        if self._connection.execute(query("locks/renew_claim"), self._key).fetchone() is None:
            raise self._busy(0, self._holder())

    def release(self) -> None:
        """Release it; without a connection the lock ends by itself."""
        if self._connection.closed:
            return
        with suppress(DatabaseError), translated_errors():
            if self._connection.pooled:
                self._connection.execute(query("locks/drop_claim"), self._key)
            elif self._opens == self._connection.opens:
                self._unlock()

    def _tried(self) -> bool:
        if self._connection.pooled:
            return self._connection.execute(query("locks/take_claim"), self._key).fetchone() is not None
        sql = "SELECT pg_try_advisory_lock(%(lock_class)s, %(lock_key)s)"
        if not fetch_one(self._connection, sql, self._key)[0]:
            return False
        self._opens = self._connection.opens
        # In a statement of its own: its snapshot must be younger than the lock.
        if not fetch_one(self._connection, query("locks/is_claimed"), self._key)[0]:
            return True
        self._unlock()
        return False

    def _unlock(self) -> None:
        self._connection.execute("SELECT pg_advisory_unlock(%(lock_class)s, %(lock_key)s)", self._key)

    def _holder(self) -> str:
        row = self._connection.execute(query("locks/select_holder"), self._key).fetchone()
        return "someone who has just finished" if row is None else str(row[0])


@contextmanager
def holding(
    connection: Connection, lock_class: int, key: int, what: str, patience_s: float, busy: Busy
) -> Iterator[Hold]:
    """Within, the lock is held. Raises the error of ``busy`` after ``patience_s``."""
    hold = Hold(connection, lock_class, key, what, busy)
    hold.take(patience_s)
    try:
        yield hold
    finally:
        hold.release()

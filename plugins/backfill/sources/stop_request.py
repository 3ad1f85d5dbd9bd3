"""A request to end in order: no new requests, answers are stored, each run is finished."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from backfill.errors import Stopped

# How long an answer in flight, and a series at work, may take after the request.
ANSWER_GRACE_S = 0.7
SERIES_GRACE_S = 1.5
SLICE_S = 0.1


class StopRequest:
    """Set once, by a signal's handler or another thread; whatever waits checks it."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._asked_at = 0.0
        self._heeded = 0

    @property
    def is_asked(self) -> bool:
        """Whether to end."""
        return self.reason is not None

    @property
    def is_heeded(self) -> bool:
        """Whether work under way ends in order."""
        return self._heeded > 0

    def ask(self, reason: str) -> None:
        """End, for ``reason``."""
        if self.reason is None:
            self._asked_at, self.reason = time.monotonic(), reason

    def is_over(self, grace_s: float) -> bool:
        """Whether it was asked at least ``grace_s`` ago."""
        return self.is_asked and time.monotonic() - self._asked_at >= grace_s

    def check(self) -> None:
        """Raise :class:`Stopped` once asked."""
        if self.reason is not None:
            raise Stopped(self.reason)

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise :class:`Stopped` soon after being asked.

        In slices: a signal's handler may interrupt a thread that holds an event's lock.
        """
        over_at = time.monotonic() + seconds
        self.check()
        while (left_s := over_at - time.monotonic()) > 0:
            time.sleep(min(left_s, SLICE_S))
            self.check()

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Within: a request ends the work in order."""
        self._heeded += 1
        try:
            yield
        finally:
            self._heeded -= 1

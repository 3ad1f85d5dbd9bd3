"""How many series are worked on at once, on a Postgres that admits few connections."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import pytest

from backfill.errors import ConnectionsExhausted
from backfill.jobs.fill.each_series import SERIES_AT_ONCE, each_series
from backfill.sources.runtime import Runtime
from backfill.sources.stop_request import StopRequest
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow


class Admits:
    """The part of a runtime that matters here; ``left`` connections may be opened."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.stop = StopRequest()

    def prepare_budgets(self) -> None:
        self._open()

    def new_store(self) -> AbstractContextManager[object]:
        self._open()
        return nullcontext(object())

    def _open(self) -> None:
        if not self.left:
            raise ConnectionsExhausted("too many connections for role")
        self.left -= 1


def worked_on(left: int, windows: int = 12) -> tuple[list[int], int]:
    """What came back, and how many stores were in use at the same time at most."""
    lock, in_use, most = threading.Lock(), set[int](), [0]
    together = threading.Barrier(min(left - 1, SERIES_AT_ONCE)) if left > 1 else None

    def work(store: CandleStore, window: Any) -> int:
        with lock:
            assert id(store) not in in_use, "two workers have one store"
            in_use.add(id(store))
            most[0] = max(most[0], len(in_use))
        if together is not None:
            together.wait()  # as many as there are stores
        with lock:
            in_use.remove(id(store))
        return int(window)

    found = list(each_series(cast("Runtime", Admits(left)), cast("list[SeriesWindow]", list(range(windows))), work))
    return sorted(found), most[0]


@pytest.mark.parametrize(("left", "at_once"), [(2, 1), (3, 2), (5, 4), (100, SERIES_AT_ONCE)])
def test_as_many_series_are_worked_on_at_once_as_postgres_admits_connections(left: int, at_once: int) -> None:
    assert worked_on(left) == (list(range(12)), at_once)


@pytest.mark.parametrize("left", [0, 1])
def test_with_no_connection_for_a_single_worker_the_error_says_how_many_a_run_needs(left: int) -> None:
    with pytest.raises(ConnectionsExhausted, match="too many connections for role; a run needs 3 connections, and 6"):
        worked_on(left)


def test_after_a_failure_no_further_series_begins() -> None:
    begun: list[int] = []

    def work(_: CandleStore, window: Any) -> None:
        begun.append(window)
        raise ValueError(window)

    with pytest.raises(ValueError, match="0"):
        list(each_series(cast("Runtime", Admits(2)), cast("list[SeriesWindow]", list(range(50))), work))
    assert len(begun) <= 2, "those that were at work already"

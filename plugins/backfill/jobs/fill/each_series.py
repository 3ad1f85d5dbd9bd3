"""Work on several series at once, until all are done or the run is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from backfill.errors import ConnectionsExhausted, OutOfMemory, Stopped
from backfill.sources.runtime import Runtime
from backfill.sources.stop_request import SERIES_GRACE_S
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow

# More workers would only queue for the rate budget.
SERIES_AT_ONCE = 4
# Beside a connection for each worker: the caller's, and that of the rate budgets.
OTHER_CONNECTIONS = 2
LOOK_EVERY_S = 0.2

log = logging.getLogger(__name__)

T = TypeVar("T")


def each_series(
    runtime: Runtime, windows: Sequence[SeriesWindow], work: Callable[[CandleStore, SeriesWindow], T]
) -> Iterator[T]:
    """Yield each window's result when done, in that order; each worker has its own store.

    If Postgres admits fewer connections, fewer series are worked on at once; without a single one
    :class:`ConnectionsExhausted` says how many are needed. Raises :class:`OutOfMemory` if memory runs out. Once the
    run is stopped, series at work may finish in a moment, and the others are left out.
    """
    with _lack_named(), ExitStack() as opened:
        runtime.prepare_budgets()
        stores = _Stores(runtime, opened)

        def on_one(window: SeriesWindow) -> T:
            runtime.stop.check()
            with stores.one() as store:
                return work(store, window)

        threads = ThreadPoolExecutor(SERIES_AT_ONCE, thread_name_prefix="series")
        try:
            with runtime.stop.heeded():
                done: SimpleQueue[Future[T]] = SimpleQueue()  # in the order in which they end
                for window in windows:
                    threads.submit(on_one, window).add_done_callback(done.put)
                left = len(windows)
                while left and not runtime.stop.is_over(SERIES_GRACE_S):
                    with suppress(Empty, Stopped):
                        one = done.get(timeout=LOOK_EVERY_S)
                        left -= 1
                        yield one.result()
        finally:
            threads.shutdown(wait=not runtime.stop.is_asked, cancel_futures=True)


class _Stores:
    """Stores that workers take in turn: as many as workers, or as Postgres admits."""

    def __init__(self, runtime: Runtime, opened: ExitStack) -> None:
        self._runtime = runtime
        self._opened = opened
        self._idle: SimpleQueue[CandleStore] = SimpleQueue()
        self._opening = threading.Lock()
        self._count = 0
        self._no_more = False
        self._failed = False

    @contextmanager
    def one(self) -> Iterator[CandleStore]:
        """A store that no other worker has; none once a series has failed, even before the caller hears of it."""
        store = None
        try:
            store = self._idle_one() or self._new_one() or self._awaited()
            self._check()
            yield store
        except BaseException:
            self._failed = True
            raise
        finally:
            if store is not None:
                self._idle.put(store)

    def _check(self) -> None:
        if self._failed:
            raise Stopped("another series has failed")

    def _idle_one(self) -> CandleStore | None:
        with suppress(Empty):
            return self._idle.get_nowait()
        return None

    def _new_one(self) -> CandleStore | None:
        with self._opening:
            if self._no_more:
                return None
            self._check()
            try:
                store = self._opened.enter_context(self._runtime.new_store())
            except ConnectionsExhausted as error:
                if not self._count:
                    raise
                self._no_more = True
                log.warning("%d series at once instead of %d: %s", self._count, SERIES_AT_ONCE, error)
                return None
            self._count += 1
            return store

    def _awaited(self) -> CandleStore:
        while True:
            self._runtime.stop.check()
            with suppress(Empty):
                return self._idle.get(timeout=LOOK_EVERY_S)


@contextmanager
def _lack_named() -> Iterator[None]:
    try:
        yield
    except ConnectionsExhausted as error:
        need = f"a run needs {OTHER_CONNECTIONS + 1} connections, and {OTHER_CONNECTIONS + SERIES_AT_ONCE} to be fast"
        raise ConnectionsExhausted(f"{error}; {need}") from error
    except Exception as error:
        if lack := OutOfMemory.of(error):
            raise lack from error
        raise

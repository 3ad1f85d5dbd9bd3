"""Work on several series at once, until all are done or the run is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from backfill.errors import Stopped
from backfill.sources.runtime import Runtime
from backfill.sources.stop_request import SERIES_GRACE_S
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow

# More workers would only queue for the rate budget.
SERIES_AT_ONCE = 4
LOOK_EVERY_S = 0.2

T = TypeVar("T")


def each_series(
    runtime: Runtime, windows: Sequence[SeriesWindow], work: Callable[[CandleStore, SeriesWindow], T]
) -> Iterator[T]:
    """Yield each window's result when done, in that order; each worker has its own store.

    Once the run is stopped, series at work may finish in a moment, and the others are left out.
    """
    local = threading.local()
    with ExitStack() as opened:

        def on_one(window: SeriesWindow) -> T:
            runtime.stop.check()
            if not hasattr(local, "store"):
                local.store = opened.enter_context(runtime.new_store())
            return work(local.store, window)

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

"""Work on several series at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from typing import TypeVar

from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow

# More workers would only queue for the rate budget.
SERIES_AT_ONCE = 4

T = TypeVar("T")


def each_series(
    runtime: Runtime, windows: Sequence[SeriesWindow], work: Callable[[CandleStore, SeriesWindow], T]
) -> Iterator[T]:
    """Yield each window's result when done; each worker has its own store."""
    local = threading.local()
    with ExitStack() as opened:

        def on_one(window: SeriesWindow) -> T:
            if not hasattr(local, "store"):
                local.store = opened.enter_context(runtime.new_store())
            return work(local.store, window)

        threads = ThreadPoolExecutor(SERIES_AT_ONCE, thread_name_prefix="series")
        try:
            for done in as_completed([threads.submit(on_one, window) for window in windows]):
                yield done.result()
        finally:
            threads.shutdown(cancel_futures=True)

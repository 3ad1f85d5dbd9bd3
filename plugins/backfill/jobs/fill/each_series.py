"""Work on many series, several at once: what a mapped task does for its symbols and the command line for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from typing import TypeVar

from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore

# One worker stores a page while the others wait for theirs; more than a few only queue for the rate budget.
from backfill.storage.series import SeriesWindow

# One worker stores a page while the others wait for theirs; more than a few only queue for the rate budget.
SERIES_AT_ONCE = 4

T = TypeVar("T")


def each_series(
    runtime: Runtime, windows: Sequence[SeriesWindow], work: Callable[[CandleStore, SeriesWindow], T]
) -> Iterator[T]:
    """What ``work`` gives for each window, as it ends. Each worker has a store of its own."""
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

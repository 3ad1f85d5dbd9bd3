"""A pool without threads: what is submitted is done at once, in the caller's thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")


class DoneAtOnce(Executor):
    """Stands in for a ThreadPoolExecutor of one thread, whose work only ever waits for its caller."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Nothing is started."""

    def submit(self, work: Callable[..., T], /, *args: Any, **how: Any) -> Future[T]:
        """The result, or whatever was raised."""
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **how))
        except BaseException as error:  # noqa: BLE001 - as a pool does
            done.set_exception(error)
        return done

"""SIGINT, SIGTERM and SIGHUP end a command in order; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from backfill.sources.stop_request import StopRequest

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_in_order(stop: StopRequest) -> Iterator[None]:
    """Within, the signals ask ``stop``, unless they are ignored as under nohup, or no work would heed it."""

    def on_signal(number: int, _: object) -> None:
        first = not stop.is_asked
        stop.ask(signal.Signals(number).name)
        if not (first and stop.is_heeded):
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, on_signal)
        for number in ENDING_SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(code: int) -> int:
    """Return the code, or end the process if a thread still waits for an exchange, perhaps for its whole time-out."""
    waiting = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if waiting:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code

"""A worker that dies under libfaketime says nothing about the test that it ran: the test is run once more."""

from __future__ import annotations

from typing import Any

import pytest


class RunCrashedTestOnceMore:
    """A plugin of pytest-xdist's controller.

    libfaketime reads the environment each time that a thread waits with a bound, and glibc moves the environment when
    a variable is added. A process with threads that sets one can therefore die of a read of freed memory. A test that
    fails is not run again, nor one whose second worker dies.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: Any) -> None:
        if crashitem in self._seen:
            return
        self._seen.add(crashitem)
        sched.mark_test_pending(crashitem)
        report.outcome = "rerun"  # type: ignore[assignment]  # what pytest-xdist documents for this hook

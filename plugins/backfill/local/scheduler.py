"""Airflow's scheduler and its LocalExecutor, watched as one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from backfill.local.supervisor import Component

WORKER_TITLE = "LocalExecutor"


@dataclass
class Scheduler(Component):
    """Counts as ended when one of its workers is gone.

    LocalExecutor does not notice a killed worker: its task stays queued if not begun, its slot taken; one killed while
    idle holds the queue's lock and stops all others (seen on Airflow 3.3.2). A new scheduler takes such tasks up within
    half a minute.
    """

    workers: set[int] = field(default_factory=set)

    def start(self) -> None:
        """Kill a scheduler that still runs, then start one."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.workers = set()
        super().start()

    def how_it_ended(self) -> str | None:
        """How it or a worker ended; None while all run."""
        end = super().how_it_ended()
        if end is not None or self.process is None:
            return end
        seen = _workers_of(self.process.pid)
        lost = self.workers - seen
        self.workers |= seen
        return f"its worker {min(lost)} was killed" if lost else None


def _workers_of(pid: int) -> set[int]:
    found = set()
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            with suppress(psutil.NoSuchProcess):
                if any(WORKER_TITLE in word for word in child.cmdline()):  # a zombie has none
                    found.add(child.pid)
    return found

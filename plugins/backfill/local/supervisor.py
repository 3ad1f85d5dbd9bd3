"""Starts long-running programs, starts again what dies, and leaves no process behind.

Each program has a session of its own, so that Ctrl-C in the terminal reaches only us, and a log file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil

from backfill.errors import BackfillError, LocalStackFailed

LOOK_EVERY_S = 0.5
MOST_RESTARTS = 5
WITHIN_S = 300.0
GRACE_S = 15.0


@dataclass
class Component:
    """One program. ``command`` and ``environment`` are read at each start."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list)

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def has_died(self) -> bool:
        return self.process is not None and self.process.poll() is not None


class Supervisor:
    """A context manager: inside it the components run; ``check`` raises once one of them cannot be kept up.

    ``also`` are checks of things that are not our children (Postgres): each is called at every look and gives
    a sentence when it had to bring something back.
    """

    def __init__(
        self,
        components: Sequence[Component],
        *,
        mark: tuple[str, str],
        note: Callable[[str], None],
        also: Sequence[Callable[[], str | None]] = (),
    ) -> None:
        self.components = components
        self._mark = mark
        self._note = note
        self._also = also
        self._failure: BackfillError | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Supervisor:
        for component in self.components:
            component.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        end_processes([c.process.pid for c in self.components if c.process is not None], self._mark)
        for component in self.components:
            if component.process is not None:
                component.process.wait()

    def check(self) -> None:
        """Raise :class:`LocalStackFailed` if the stack cannot be kept up."""
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        try:
            while not self._closing.wait(LOOK_EVERY_S):
                self._look()
        except BackfillError as error:
            self._failure = error

    def _look(self) -> None:
        for check in self._also:
            if said := check():
                self._note(said)
        for component in self.components:
            if component.has_died():
                self._restart(component)

    def _restart(self, component: Component) -> None:
        now = time.monotonic()
        component.deaths = [death for death in component.deaths if now - death < WITHIN_S] + [now]
        status = component.process.returncode if component.process else None
        if len(component.deaths) > MOST_RESTARTS:
            raise LocalStackFailed(
                f"{component.name} has ended {len(component.deaths)} times in {WITHIN_S:.0f} s "
                f"(exit status {status}); its log is {component.log}\n{tail(component.log)}"
            )
        self._note(f"{component.name} has ended (exit status {status}); starting it again")
        component.start()


def end_processes(leaders: Sequence[int], mark: tuple[str, str], grace_s: float = GRACE_S) -> None:
    """End the processes and whatever carries ``mark`` in its environment: asked first, then killed."""
    for pid in leaders:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    asked = set(leaders)
    while remaining := marked_processes(mark):
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                if time.monotonic() > deadline:
                    process.kill()
                elif process.pid not in asked and not _has_living_leader(process, leaders):
                    process.terminate()
                    asked.add(process.pid)
        time.sleep(0.05)


def marked_processes(mark: tuple[str, str]) -> list[psutil.Process]:
    """Every living process of ours that was started with ``mark`` in its environment, but not this one."""
    name, value = mark
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_alive = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
            if is_alive and process.environ().get(name) == value:
                found.append(process)
    return found


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, or nothing."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _has_living_leader(process: psutil.Process, leaders: Sequence[int]) -> bool:
    """Its leader will see to it: a scheduler asked to end lets its tasks end first."""
    return any(parent.pid in leaders for parent in process.parents())

"""Starts programs, restarts what ends, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import psutil

from backfill.errors import BackfillError, LocalStackFailed

LOOK_EVERY_S = 0.5
MOST_RESTARTS = 5
WITHIN_S = 300.0
GRACE_S = 5.0


class Watched(Protocol):
    """A program that is restarted when it ends."""

    @property
    def name(self) -> str: ...
    @property
    def log(self) -> Path: ...
    def start(self) -> None: ...
    def how_it_ended(self) -> str | None:
        """None while it runs."""


@dataclass
class Component:
    """One program in its own session: Ctrl-C in the terminal reaches only us."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program, appending its output to ``log``."""
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

    def how_it_ended(self) -> str | None:
        """Its exit status; None while it runs."""
        status = self.process.poll() if self.process else None
        return None if status is None else f"exit status {status}"


class Supervisor:
    """Runs the components; ``check`` raises once one cannot be kept up.

    ``others`` run already and are only restarted. ``mark``: an environment variable of all components, and its value.
    """

    def __init__(
        self,
        components: Sequence[Component],
        *,
        mark: tuple[str, str],
        note: Callable[[str], None],
        others: Sequence[Watched] = (),
    ) -> None:
        self.components = components
        self._watched = [*others, *components]
        self._mark = mark
        self._note = note
        self._ends_at: dict[str, list[float]] = {watched.name: [] for watched in self._watched}
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
        processes = [component.process for component in self.components if component.process is not None]
        end_processes([process.pid for process in processes], self._mark)
        for process in processes:
            process.wait()

    def check(self) -> None:
        """Raise :class:`LocalStackFailed` if one cannot be kept up."""
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        try:
            while not self._closing.wait(LOOK_EVERY_S):
                for watched in self._watched:
                    if (end := watched.how_it_ended()) is not None:
                        self._restart(watched, end)
        except BackfillError as error:
            self._failure = error

    def _restart(self, watched: Watched, end: str) -> None:
        now = time.monotonic()
        ends_at = [at for at in self._ends_at[watched.name] if now - at < WITHIN_S] + [now]
        self._ends_at[watched.name] = ends_at
        if len(ends_at) > MOST_RESTARTS:
            raise LocalStackFailed(
                f"{watched.name} has ended {len(ends_at)} times in {WITHIN_S:.0f} s, last with {end}; "
                f"its log is {watched.log}\n{tail(watched.log)}"
            )
        self._note(f"{watched.name} has ended ({end}): starting it again")
        if isinstance(watched, Component) and watched.process is not None:
            _kill_session(watched.process.pid, self._mark)
        watched.start()


def end_processes(leaders: Sequence[int], mark: tuple[str, str], grace_s: float = GRACE_S) -> bool:
    """Terminate, later kill, ``leaders`` and processes with ``mark``; return whether any were."""
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
    return bool(asked)


def _kill_session(leader: int, mark: tuple[str, str]) -> None:
    """Kill what a program leaves behind.

    A killed scheduler's workers hold its sockets, so Postgres would hold its locks, and the next one wait for them.
    """
    for process in marked_processes(mark):
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == leader:
                process.kill()


def marked_processes(mark: tuple[str, str]) -> list[psutil.Process]:
    """Living processes with ``mark`` in their environment, without us."""
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
    """Whether its leader will end it: a scheduler lets its tasks end first."""
    return any(parent.pid in leaders for parent in process.parents())

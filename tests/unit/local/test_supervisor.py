"""Programs that are kept running, and ended with all that they have started."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backfill.errors import LocalStackFailed
from backfill.local import supervisor as supervision
from backfill.local.scheduler import Scheduler
from backfill.local.supervisor import Component, Supervisor, end_processes, marked_processes
from waiting import wait_for

SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
# A child in a session of its own, which no signal to its parent's group reaches.
PARENT = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', *sys.argv[1:]], start_new_session=True)\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "LOOK_EVERY_S", 0.02)


@pytest.fixture
def mark(tmp_path: Path) -> tuple[str, str]:
    return "CANDLE_KEEPER_TEST", str(tmp_path)


@pytest.fixture
def component(tmp_path: Path, mark: tuple[str, str]) -> Callable[..., Component]:
    def make(code: str, *arguments: str, kind: type[Component] = Component) -> Component:
        command = [sys.executable, "-c", code, *arguments]
        return kind("sleeper", command, {**os.environ, mark[0]: mark[1]}, tmp_path / "sleeper.log")

    return make


def pid_of(component: Component) -> int:
    assert component.process is not None
    return component.process.pid


def test_a_killed_program_is_started_again_and_said_to_have_ended(
    component: Callable[..., Component], mark: tuple[str, str]
) -> None:
    sleeper, notes = component(SLEEP), list[str]()

    with Supervisor([sleeper], mark=mark, note=notes.append):
        first = pid_of(sleeper)
        os.kill(first, signal.SIGKILL)
        wait_for("another sleeper", lambda: pid_of(sleeper) != first)

    assert notes == ["sleeper has ended (exit status -9): starting it again"]


def test_what_a_killed_program_has_started_is_killed_before_it_is_started_again(
    component: Callable[..., Component], mark: tuple[str, str]
) -> None:
    parent = component(PARENT.replace("start_new_session=True", ""))
    other = component(SLEEP)

    with Supervisor([parent, other], mark=mark, note=lambda _: None):
        first = pid_of(parent)
        wait_for("the child", lambda: "ready" in parent.log.read_text())
        (child,) = (process for process in marked_processes(mark) if process.ppid() == first)
        beside = pid_of(other)
        os.kill(first, signal.SIGKILL)
        wait_for("the child to end", lambda: child not in marked_processes(mark))
        wait_for("another parent", lambda: pid_of(parent) != first)
        assert other.how_it_ended() is None
        assert pid_of(other) == beside


def test_a_program_that_cannot_be_kept_running_is_given_up_with_the_last_words_of_its_log(
    component: Callable[..., Component], mark: tuple[str, str]
) -> None:
    broken = component("print('no such table'); raise SystemExit(3)")

    with Supervisor([broken], mark=mark, note=lambda _: None) as supervisor, pytest.raises(LocalStackFailed) as failure:
        wait_for("the supervisor to give up", lambda: supervisor.check())

    assert "exit status 3" in str(failure.value)
    assert "no such table" in str(failure.value)


def test_leaving_the_block_ends_grandchildren_in_sessions_of_their_own(
    component: Callable[..., Component], mark: tuple[str, str]
) -> None:
    parent = component(PARENT)

    with Supervisor([parent], mark=mark, note=lambda _: None):
        wait_for("both processes", lambda: len(marked_processes(mark)) == 2)

    assert marked_processes(mark) == []


def test_the_block_is_left_clean_after_an_error_too(component: Callable[..., Component], mark: tuple[str, str]) -> None:
    with pytest.raises(KeyboardInterrupt), Supervisor([component(SLEEP)], mark=mark, note=lambda _: None):
        raise KeyboardInterrupt

    assert marked_processes(mark) == []


def test_who_does_not_listen_is_killed_when_the_grace_is_over(
    component: Callable[..., Component], mark: tuple[str, str]
) -> None:
    stubborn = component(STUBBORN)
    stubborn.start()
    wait_for("the deaf process", lambda: "deaf" in stubborn.log.read_text())

    assert end_processes([pid_of(stubborn)], mark, grace_s=0.1)

    assert stubborn.process is not None
    assert stubborn.process.wait() == -signal.SIGKILL


def test_processes_of_another_home_are_left_alone(component: Callable[..., Component], mark: tuple[str, str]) -> None:
    ours = component(SLEEP)
    ours.start()
    wait_for("the process that left", lambda: marked_processes(mark))

    assert not end_processes([], (mark[0], mark[1] + "-other"))

    assert ours.how_it_ended() is None
    assert end_processes([], mark)
    assert ours.process is not None
    ours.process.wait()


def test_a_scheduler_one_of_whose_workers_was_killed_is_started_anew(
    component: Callable[..., Component], mark: tuple[str, str]
) -> None:
    scheduler, notes = component(PARENT, "airflow worker -- LocalExecutor", kind=Scheduler), list[str]()

    def workers() -> list[int]:
        return [process.pid for process in marked_processes(mark) if process.ppid() == pid_of(scheduler)]

    with Supervisor([scheduler], mark=mark, note=notes.append):
        first = pid_of(scheduler)
        wait_for("the workers", workers)
        [worker] = workers()
        time.sleep(0.2)  # long enough to be seen
        os.kill(worker, signal.SIGKILL)
        wait_for("another scheduler", lambda: pid_of(scheduler) != first)

    assert notes == [f"sleeper has ended (its worker {worker} was killed): starting it again"]
    assert marked_processes(mark) == []

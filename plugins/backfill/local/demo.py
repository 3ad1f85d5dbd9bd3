"""``backfill demo`` and ``backfill up``: start the stack, fill the gaps, report."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from backfill.config.settings import Settings
from backfill.errors import DatabaseError, LocalStackFailed
from backfill.local.airflow_api import DagRun
from backfill.local.fill_result import RunRows, exit_code, in_words, progress, series_results, shown_columns, totals
from backfill.local.repairs import next_steps, repairs
from backfill.local.scenario import Scenario, live_scenario, replay_scenario, synthetic_scenario
from backfill.local.stack import Stack, running_stack
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.run_reports import attempts_of_dag_run, revisions_of_dag_run
from backfill.storage.series import Selection
from backfill.storage.series_status import gaps, sync_status

if TYPE_CHECKING:
    from rich.progress import Progress

DAG_ID = "candles_fill_gaps"
LOOK_EVERY_S = 0.5
# Without a terminal.
LINE_EVERY_S = 5.0
SILENT_S = 300.0
SCHEDULED_WITHIN_S = 3.0
LINE_WIDTH = 80


class CommandOutput(Protocol):
    """What a demo prints through, such as :class:`backfill.cli.output.Output`."""

    as_json: bool

    def document(self, document: Mapping[str, Any]) -> None: ...
    def table(self, title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None: ...
    def line(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...
    def progress(self, total: int, what: str) -> AbstractContextManager[Progress | None]: ...


def run_demo(
    settings: Settings,
    output: CommandOutput,
    *,
    once: bool = False,
    replay: Path | None = None,
    select: str | Sequence[str] = "*",
    celery_workers: int = 0,
) -> int:
    """Run on a synthetic market or the candle files of ``replay``; return the exit code.

    Without ``once``, and on a terminal, it stays up until Ctrl-C. ``celery_workers``: 0 is the LocalExecutor.
    """
    stays = _stays_up(once=once)
    scenario = synthetic_scenario(settings, live=stays) if replay is None else replay_scenario(settings, replay, select)
    return _run(settings, output, scenario, stays=stays, celery_workers=celery_workers)


def run_up(settings: Settings, output: CommandOutput, *, once: bool = False) -> int:
    """Run against the real exchanges; Airflow follows the schedule."""
    return _run(settings, output, live_scenario(), stays=_stays_up(once=once))


@dataclass(frozen=True)
class _Play:
    stack: Stack
    settings: Settings
    output: CommandOutput
    scenario: Scenario
    started_by: str

    def fill(self) -> int:
        """Run the Dag and report; return the exit code."""
        airflow = self.stack.airflow
        run = None
        for unfinished in airflow.unfinished_runs(DAG_ID):
            if not unfinished.is_of_before(self.stack.started_at):
                run = unfinished  # Airflow has started it since: the Dag was not paused
                continue
            airflow.fail(DAG_ID, unfinished)
            self.output.note(f"marked as failed: {unfinished.run_id}, which an earlier stack left unfinished")
        airflow.unpause(DAG_ID)
        if run is None and self.scenario.is_live:
            run = self._scheduled()
        if run is None:
            run = airflow.trigger(DAG_ID)
        self.output.note(f"{DAG_ID} is running: {run.run_id}")
        started = time.monotonic()
        run = self._followed(run)
        return self._told(run, time.monotonic() - started)

    def _scheduled(self) -> DagRun | None:
        """The run that Airflow starts itself for the timetable's last tick."""
        deadline = time.monotonic() + SCHEDULED_WITHIN_S
        while time.monotonic() < deadline:
            if runs := self.stack.airflow.unfinished_runs(DAG_ID):
                return runs[0]
            time.sleep(LOOK_EVERY_S)
        return None

    def _followed(self, run: DagRun) -> DagRun:
        answered_at = line_at = time.monotonic()
        with self.output.progress(0, "candles") as bar:
            while not run.has_ended:
                time.sleep(LOOK_EVERY_S)
                self.stack.supervisor.check()
                try:
                    run = self.stack.airflow.dag_run(DAG_ID, run.run_id)
                    now = progress(self._rows(run))
                except (LocalStackFailed, DatabaseError):
                    if time.monotonic() - answered_at > SILENT_S:
                        raise
                    continue  # it is being restarted
                answered_at = time.monotonic()
                if bar is not None:
                    bar.update(bar.task_ids[0], total=now.expected or None, completed=now.held, last=str(now))
                elif answered_at - line_at >= LINE_EVERY_S:
                    self.output.note(f"  {now}")
                    line_at = answered_at
        return run

    def _told(self, run: DagRun, took_s: float) -> int:
        results = series_results(self._rows(run))
        rows = [result.as_row() for result in results]
        summed = totals(results)
        with CandleStore(connect(self.stack.database)) as store:
            revisions = revisions_of_dag_run(store, DAG_ID, run.run_id)
            sources = {key: wish.sources for key, wish in store.wishes.wanted().items()}
        found, steps = repairs(results, revisions, sources), next_steps(results, revisions)
        if self.output.as_json:
            document = {"market": self.scenario.title, "state": run.state, "seconds": took_s, "totals": summed}
            self.output.document({**document, "series": rows, "found": found, "revisions": revisions, "next": steps})
        else:
            self.output.table("Coverage before and after", rows, shown_columns(rows))
            self.output.line(_folded(f"{run.state} after {took_s:.0f} s: {in_words(summed)}"))
            self.output.line(_folded(f"The candles are of {self.scenario.title}."))
            self.output.line("\nWhat the run found and did\n" + "\n".join(found))
            self.output.line(f"\nTry next, in another terminal while `{self.started_by}` is up")
            self.output.line("\n".join(map(self._typed, steps)))
        for task in self.stack.airflow.failed_tasks(DAG_ID, run.run_id) if run.state == "failed" else ():
            self.output.error(f"task {task} has failed; logs are in {self.stack.home / 'logs'}")
        return exit_code(run.state, results)

    def _typed(self, step: str) -> str:
        """The command line's ``step`` as it is typed in this folder."""
        program = Path(sys.executable).with_name("backfill")
        shown = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
        is_found = self.stack.home == Path(".backfill").resolve()
        return f"  {'' if is_found else f'BACKFILL_HOME={self.stack.home} '}{shown} {step}"

    def _rows(self, run: DagRun) -> RunRows:
        settings = self.settings
        settle_ms = round(settings.settle_s * 1000)
        until_ms = round(run.run_after.timestamp() * 1000) - settle_ms
        with CandleStore(connect(self.stack.database)) as store:
            which = Selection(store.now(), settle_ms, settings.symbols, settings.timeframes, to_ms=until_ms)
            attempts = attempts_of_dag_run(store, DAG_ID, run.run_id)
            return RunRows(sync_status(store, which), gaps(store, which), attempts)


def _stays_up(*, once: bool) -> bool:
    return not once and sys.stdout.isatty()


def _run(settings: Settings, output: CommandOutput, scenario: Scenario, *, stays: bool, celery_workers: int = 0) -> int:
    output.note(f"candles of {scenario.title}")
    with running_stack(settings, scenario, output.note, celery_workers) as stack:
        output.note("starting Airflow" + (f", Redis and {celery_workers} Celery workers" if celery_workers else ""))
        if scenario.story:
            universe = Path(scenario.environment["BACKFILL_UNIVERSE"])
            on_paper = {"universe": universe, "profile": None, "lookback_hours": None}  # as for Airflow's processes
            ours = settings.model_copy(update=on_paper)
            if symbols := scenario.story.make_history(stack.database, ours, stack.exchanges):
                output.note(f"made a history with holes: {', '.join(symbols)}")
        stack.wait_until_ready(DAG_ID)
        if sys.stdout.isatty():  # not into a log
            output.note(_login(stack))
        code = _Play(stack, settings, output, scenario, _started_by(scenario, celery_workers)).fill()
        if not stays:
            return code
        output.line(f"\nAirflow    {stack.airflow.url}/dags/{DAG_ID}\nCandles    {stack.airflow.url}/plugin/candles")
        output.line(_login(stack))
        output.line(f"Postgres   {stack.database}")
        if scenario.is_live and (next_run_at := stack.airflow.next_run_at(DAG_ID)):
            output.line(f"The clock goes on: the next run is at {next_run_at:%H:%M} UTC.")
        output.line("Ctrl-C ends it all.")
        with suppress(KeyboardInterrupt):
            while True:
                stack.supervisor.check()
                time.sleep(LOOK_EVERY_S)
    return code


def _folded(sentence: str) -> str:
    return textwrap.fill(sentence, LINE_WIDTH, break_long_words=False, break_on_hyphens=False)


def _started_by(scenario: Scenario, celery_workers: int) -> str:
    if scenario.market is None:
        return "make up"
    return "make demo-celery" if celery_workers else "make demo"


def _login(stack: Stack) -> str:
    login = stack.airflow.login
    return f"Login      {login.user}, password {login.password}"

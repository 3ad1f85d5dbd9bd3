"""Postgres, paper exchange and Airflow on one machine, once per home folder."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

import backfill
from backfill.config.local_stack import FILE, remember_stack
from backfill.config.resources import dags_dir
from backfill.config.settings import Settings, load_settings
from backfill.dag_parts.preload import SETTINGS_FILE
from backfill.errors import ConfigurationError, LocalStackFailed
from backfill.local.airflow_api import AirflowApi
from backfill.local.airflow_settings import MARK, AirflowSettings
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.local.executor import executor_of
from backfill.local.ports import reserved_port
from backfill.local.reachable import require_a_source
from backfill.local.scenario import Scenario
from backfill.local.scheduler import Scheduler
from backfill.local.supervisor import Component, Supervisor, end_processes, tail
from backfill.paper.server import PaperExchange
from backfill.paper.venues import paper_exchange
from backfill.storage.database import connect
from backfill.storage.migrations import migrate
from backfill.storage.server import has_table

API_PORT, PAPER_PORT = 8080, 8900
AIRFLOW_DATABASE = "airflow"
AIRFLOW_PROCESSES = (
    ("dag-processor",),
    ("api-server",),
    ("scheduler", "--skip-serve-logs"),
    ("triggerer", "--skip-serve-logs"),
)
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READY_WITHIN_S = 600.0  # four Airflow processes start at once
STOPPED_WITHIN_S = 60.0
POLL_S = 0.2

Note = Callable[[str], None]


@dataclass(frozen=True)
class Stack:
    """``database``: libpq URI of the candles; ``exchanges``: those on paper, by source."""

    home: Path
    database: str
    airflow: AirflowApi
    supervisor: Supervisor
    exchanges: Mapping[str, PaperExchange]
    started_at: datetime

    def wait_until_ready(self, dag_id: str) -> None:
        """Wait until Airflow is healthy and has reread the Dag. Raises LocalStackFailed."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            self.supervisor.check()
            waiting_for = self._waiting_for(dag_id)
            if not waiting_for:
                return
            time.sleep(POLL_S)
        logs = self.home / "logs"
        raise LocalStackFailed(
            f"Airflow is not ready after {READY_WITHIN_S:.0f} s, waiting for {', '.join(waiting_for)}; its logs are in "
            f"{logs}\n{tail(logs / f'{waiting_for[0]}.log')}"
        )

    def _waiting_for(self, dag_id: str) -> list[str]:
        if unhealthy := self.airflow.unhealthy():
            return unhealthy
        parsed_at = self.airflow.parsed_at(dag_id)
        if parsed_at is not None and parsed_at >= self.started_at:
            return []
        if errors := self.airflow.import_errors():
            raise LocalStackFailed("a Dag file does not load:\n" + "\n".join(errors))
        return ["dag-processor"]


@contextmanager
def running_stack(settings: Settings, scenario: Scenario, note: Note, celery_workers: int = 0) -> Iterator[Stack]:
    """Start everything, stop it in the end. ``note`` gets progress messages.

    ``celery_workers``: 0 is the LocalExecutor.
    """
    home = settings.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_alone_in(home))
        stack.enter_context(_signals_as_interrupts())
        end_processes([], (MARK, str(home)))  # left by a killed stack
        postgres = EmbeddedPostgres(home)
        stack.callback(postgres.stop)
        postgres.start()
        for database in (AIRFLOW_DATABASE, scenario.database):
            postgres.ensure_database(database)
        candles = postgres.uri(scenario.database)
        with connect(candles) as connection:
            migrate(connection)
        if scenario.market is None:
            note("asking the sources")
            given = {**os.environ, **scenario.environment}  # what the stack's processes ask with
            require_a_source(candles, load_settings(given), note, given)
        exchanges = _paper_exchanges(stack, settings, scenario)
        urls = {f"BACKFILL_{name.upper()}_URL": exchange.url for name, exchange in exchanges.items()}
        ours = {"AIRFLOW_CONN_CANDLES_DB": candles, **scenario.environment, **urls}
        executor = executor_of(stack, home, celery_workers)
        airflow = AirflowSettings(
            home=home,
            database=postgres.uri(AIRFLOW_DATABASE),
            dags=dags_dir(),
            plugins=_plugins_folder(home),
            api_port=stack.enter_context(reserved_port(settings.api_port, API_PORT, "BACKFILL_API_PORT")),
            schedule=scenario.is_live,
            executor=executor.options,
        )
        environment = airflow.environment(scenario.inherited(os.environ), ours)
        _write_local_settings(home)
        if _must_migrate_airflow(postgres, home):
            note("preparing Airflow's database (the first time only)")
            _migrate_airflow(home, environment)
        started_at = datetime.now(timezone.utc)
        commands = {**executor.servers, **_airflow_commands(), **executor.workers}
        supervisor = Supervisor(
            [_component(home, environment, *program) for program in commands.items()],
            mark=(MARK, str(home)),
            note=note,
            others=[_WatchedPostgres(postgres)],
        )
        stack.enter_context(supervisor)
        _remember(home, airflow=airflow.url, database=candles, environment=_for_others(environment, ours, scenario))
        stack.callback(_ignore_signals)  # a second Ctrl-C would leave something behind
        yield Stack(home, candles, AirflowApi(airflow.url, airflow.login()), supervisor, exchanges, started_at)


def stop_stack(home: Path) -> bool:
    """End the stack of ``home`` from another process; return whether any was."""
    home = home.resolve()
    supervisor = _supervisor_of(home)
    if supervisor is not None:
        supervisor.terminate()
        psutil.wait_procs([supervisor], timeout=STOPPED_WITHIN_S)
    found = end_processes([], (MARK, str(home)))
    postgres = EmbeddedPostgres(home)
    had_postgres = postgres.is_running()
    postgres.stop()
    return supervisor is not None or found or had_postgres


def _paper_exchanges(stack: ExitStack, settings: Settings, scenario: Scenario) -> dict[str, PaperExchange]:
    if scenario.market is None:
        return {}
    port = stack.enter_context(reserved_port(settings.paper_port, PAPER_PORT, "BACKFILL_PAPER_PORT"))
    exchanges = {}
    for name in scenario.sources:
        market = scenario.story.market_of(name, scenario.market) if scenario.story else scenario.market
        exchange = paper_exchange(name, market, port=port if name == scenario.sources[0] else 0)
        exchanges[name] = stack.enter_context(exchange)
    if scenario.story:
        scenario.story.begin(exchanges)
    return exchanges


@dataclass(frozen=True)
class _WatchedPostgres:
    server: EmbeddedPostgres
    name: str = "postgres"

    @property
    def log(self) -> Path:
        return self.server.log

    def start(self) -> None:
        self.server.start()

    def how_it_ended(self) -> str | None:
        return None if self.server.is_running() else "its process is gone"


def _airflow_commands() -> dict[str, list[str]]:
    return {name: [sys.executable, "-m", "airflow", name, *arguments] for name, *arguments in AIRFLOW_PROCESSES}


def _component(home: Path, environment: dict[str, str], name: str, command: Sequence[str]) -> Component:
    kind = Scheduler if name == "scheduler" else Component
    return kind(name, command, environment, home / "logs" / f"{name}.log")


def _write_local_settings(home: Path) -> None:
    """Tasks are forked from the scheduler, which imports for all of them."""
    file = home / "airflow" / "config" / "airflow_local_settings.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SETTINGS_FILE)


def _must_migrate_airflow(postgres: EmbeddedPostgres, home: Path) -> bool:
    stamp = home / "airflow" / "migrated"
    if not stamp.exists() or stamp.read_text() != _airflow_version():
        return True
    return not has_table(postgres.uri(AIRFLOW_DATABASE), "public.alembic_version")


def _migrate_airflow(home: Path, environment: dict[str, str]) -> None:
    log = home / "logs" / "db-migrate.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        ended = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    if ended.returncode != 0:
        raise LocalStackFailed(f"`airflow db migrate` has failed, its log is {log}\n{tail(log)}")
    (home / "airflow" / "migrated").write_text(_airflow_version())


def _airflow_version() -> str:
    try:
        return version("apache-airflow")
    except PackageNotFoundError:
        raise ConfigurationError("Airflow is not installed here: run `make install`") from None


def _plugins_folder(home: Path) -> Path:
    """The project's; an empty one for a wheel, which registers itself."""
    beside = Path(backfill.__file__).resolve().parent.parent
    if (beside / ".airflowignore").exists():
        return beside
    empty = home / "airflow" / "plugins"
    empty.mkdir(parents=True, exist_ok=True)
    return empty


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """Hold the lock of ``home``, which ends with the process."""
    with (home / "stack.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"a demo or stack is running already in {home}: Ctrl-C in its terminal or `make down` ends it"
            ) from None
        _remember(home)
        try:
            yield
        finally:
            (home / FILE).unlink(missing_ok=True)


def _remember(home: Path, **more: Any) -> None:
    """Write our process and addresses to ``stack.json``, for `make down` and the command line."""
    us = psutil.Process()
    remember_stack(home, {"pid": us.pid, "started": us.create_time(), **more})


def _for_others(environment: Mapping[str, str], ours: Mapping[str, str], scenario: Scenario) -> dict[str, str]:
    """What `backfill env` and the command line take of the stack's environment; empty: unset."""
    airflows = {name: value for name, value in environment.items() if name.startswith("AIRFLOW_")}
    return {**dict.fromkeys(scenario.dropped(), ""), **airflows, **ours}


def _supervisor_of(home: Path) -> psutil.Process | None:
    """The process in ``stack.json``, if it still runs."""
    try:
        state = json.loads((home / FILE).read_text())
        process = psutil.Process(state["pid"])
        return process if process.create_time() == state["started"] else None
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """`make down` and a closed terminal act as Ctrl-C; a second signal is ignored."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        _ignore_signals()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)

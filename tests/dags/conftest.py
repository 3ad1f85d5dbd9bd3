"""Airflow inside the test process: an AIRFLOW_HOME of the session's own, metadata in the throw-away Postgres.

Airflow reads its settings once, when it is imported, so ``airflow_home`` comes before any import of it. From then on
it stays, with its logging and its threads, so these tests run after those of all other levels.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from airflow_line import ON_AIRFLOW_2
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.paper.blofin_protocol import BlofinProtocol
from backfill.paper.market import PaperMarket
from backfill.paper.protocol import Answer
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from workers import WORKER, copy_database, made_once

if TYPE_CHECKING:
    from airflow.sdk import DAG, Context

METADATA_TEMPLATE = "template_of_airflow"
# What Airflow's `dag.test` calls the date of the run.
LOGICAL_DATE = "execution_date" if ON_AIRFLOW_2 else "logical_date"

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Airflow and the libraries below it use much that is deprecated; we do not. The last match counts.
WARNINGS = (
    "ignore::DeprecationWarning",
    "ignore:Using `httpx` with `starlette.testclient` is deprecated",  # a UserWarning in all but name
    r"error::DeprecationWarning:backfill\b",
)
# Where a pass of its loop only skips tasks, `dag.test` sleeps for a second.
TEST_DAG_MODULES = ("airflow.sdk.definitions.dag", "airflow.models.dag")
TEST_DAG_SLEEP_S = 0.02
# A fixed span, so that no bar closes between two runs of a test.
UNIVERSE = """
instruments: [{instruments}]
timeframes:
  1m: {{since: 2025-03-02T18:00Z, until: 2025-03-03}}
  1h: {{since: 2025-03-01, until: 2025-03-03}}
"""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings(*WARNINGS))
    items.sort(key=lambda item: item.path.is_relative_to(HERE))


@pytest.fixture(scope="session")
def airflow_home(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An Airflow that is set up and empty; nothing of it lies outside of this folder and the session's Postgres."""
    assert "airflow" not in sys.modules, "Airflow has been imported already, with somebody else's settings"
    home = tmp_path_factory.mktemp("airflow")
    database = f"airflow_{WORKER}"
    metadata = postgres_server.uri(database).replace("postgresql:", "postgresql+psycopg2:", 1)
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "BACKFILL_"))]:
            environment.delenv(name)
        for name, value in settings.items():
            environment.setenv(name, value)
        _make_metadata(postgres_server, database)
        yield home


def _make_metadata(server: EmbeddedPostgres, database: str) -> None:
    """The first worker migrates its own database and leaves a copy, from which the others make theirs."""

    def migrate_and_copy() -> None:
        server.ensure_database(database)
        # In a process of its own: Airflow 2 stays connected.
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
        copy_database(server, database, METADATA_TEMPLATE)

    if not made_once(server, METADATA_TEMPLATE, migrate_and_copy):
        copy_database(server, METADATA_TEMPLATE, database)


class UnwellProtocol(BlofinProtocol):
    """Blofin with internal errors: ``errors_left`` is symbol → how many more questions about it fail."""

    def __init__(self) -> None:
        self.errors_left: dict[str, int] = {}

    def answer(self, market: PaperMarket, method: str, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
        symbol = query.get("instId", "")
        if self.errors_left.get(symbol):
            self.errors_left[symbol] -= 1
            return Answer(200, b'{"code": "500", "msg": "Internal Server Error"}', symbol)
        return super().answer(market, method, path, query, now_ms)


@pytest.fixture(autouse=True)
def _short_sleeps_of_dag_test(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep

    def sleep_less(seconds: float) -> None:
        caller = sys._getframe(1).f_globals.get("__name__")
        sleep(TEST_DAG_SLEEP_S if caller in TEST_DAG_MODULES else seconds)

    monkeypatch.setattr(time, "sleep", sleep_less)


@pytest.fixture
def unwell() -> UnwellProtocol:
    return UnwellProtocol()


@pytest.fixture
def market() -> PaperMarket:
    return SyntheticMarket()


@pytest.fixture
def exchange(market: PaperMarket, unwell: UnwellProtocol) -> Iterator[PaperExchange]:
    with PaperExchange(market, unwell) as running:
        yield running


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the universe file (anew) with these instruments: 360 bars of 1m and 48 of 1h each."""

    def write(*instruments: str) -> None:
        file = tmp_path / "universe.yaml"
        file.write_text(UNIVERSE.format(instruments=", ".join(instruments)))
        monkeypatch.setenv("BACKFILL_UNIVERSE", str(file))

    return write


@pytest.fixture
def db(
    airflow_home: Path,
    database_uri: str,
    exchange: PaperExchange,
    declare: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[psycopg.Connection[DictRow]]:
    """An empty store and a paper Blofin behind Airflow's connections, and a universe of two symbols."""
    monkeypatch.setenv("AIRFLOW_CONN_CANDLES_DB", database_uri)
    monkeypatch.setenv("AIRFLOW_CONN_BLOFIN_DEFAULT", f"blofin://{quote(exchange.url, safe='')}")
    declare("BTC-USDT", "ETH-USDT")
    with psycopg.connect(
        database_uri, autocommit=True, row_factory=dict_row, options="-c search_path=backfill"
    ) as connection:
        yield connection


@pytest.fixture
def context() -> Context:
    """What our operators read of a task's context."""
    ti = SimpleNamespace(
        dag_id="a_dag", run_id="a_run", task_id="a_task", map_index=-1, try_number=1, xcom_push=lambda **_: None
    )
    return cast("Context", {"ti": ti})


def _read_dag(dag_id: str) -> DAG:
    """The Dag, read from its file anew."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        import airflow.providers.fab.auth_manager.models  # noqa: F401  (a run with a note is cleared through its tables)
        from airflow.models.dagbag import DagBag

    return DagBag(ROOT / "dags" / f"{dag_id}.py").dags[dag_id]


@pytest.fixture
def fill_gaps_dag(airflow_home: Path) -> DAG:
    return _read_dag("candles_fill_gaps")


@pytest.fixture
def catch_up_dag(airflow_home: Path) -> DAG:
    return _read_dag("candles_catch_up")


@dataclass(frozen=True)
class DagRunEnd:
    """``tasks``: state by task id and label, such as ``fill_from_blofin BTC-USDT``; ``errors`` of those that failed."""

    run_id: str
    state: str
    tasks: dict[str, str]
    errors: list[BaseException]
    note: str | None = None


@pytest.fixture
def run_dag(fill_gaps_dag: DAG) -> Callable[..., DagRunEnd]:
    """Run ``candles_fill_gaps`` to its end in this process, with ``conf``; a task's retries come at once."""
    return partial(_run, fill_gaps_dag)


@pytest.fixture
def catch_up(catch_up_dag: DAG) -> Callable[..., DagRunEnd]:
    """The same for ``candles_catch_up``; ``at``: the run's logical date."""
    return partial(_run, catch_up_dag)


def _note(ended: Any) -> str | None:
    """The run's note, written as the scheduler writes it: `dag.test` ends a run outside of any session."""
    from airflow.models import DagRun
    from airflow.utils.session import create_session

    from backfill.hooks.run_note import write_note

    with create_session() as session:
        run: Any = session.get(DagRun, ended.id)
        write_note(run)
        note: str | None = run.note
        return note


def _run(dag: DAG, conf: dict[str, Any] | None = None, at: datetime | None = None) -> DagRunEnd:
    errors: list[BaseException] = []
    for task in dag.tasks:
        task.on_failure_callback = [lambda context: errors.append(context["exception"])]
        task.retry_delay = timedelta(0)
    ended = dag.test(run_conf=conf, **({} if at is None else {LOGICAL_DATE: at}))
    instances = ended.get_task_instances()
    tasks = {" ".join(filter(None, (ti.task_id, ti.rendered_map_index))): str(ti.state) for ti in instances}
    return DagRunEnd(ended.run_id, str(ended.state), tasks, errors, _note(ended))

"""Levels of tests, and a real Postgres for those that need one."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.database import connect
from backfill.storage.migrations import migrate
from crashed_workers import RunCrashedTestOnceMore
from reference import SHARED, Market, Payloads, origins
from workers import (
    WORKER,
    copy_database,
    drop_database,
    made_once,
    new_server_home,
    one_at_a_time,
    server_parents,
)

# They assert too, and pytest shows what differs only in modules that it has been told of.
pytest.register_assert_rewrite(
    "integration.helpers",
    "integration.exchange",
    "simulation.model",
    "simulation.seeds",
    "faults.scene",
    "unit.frames.judged_pages",
    "unit.frames.hostile_payloads",
)

TESTS = Path(__file__).parent
SERVER_FOLDER = "candle-keeper-test-"
SERVER_HOME = pytest.StashKey[Path]()
TEMPLATE = "template_of_tests"
# Each runs by a command of its own.
LEFT_OUT = ("stack", "browser", "helm", "long", "slow_faults")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres", type=int, default=18, metavar="MAJOR", help="PostgreSQL to test on: 15 to 18")


def pytest_configure(config: pytest.Config) -> None:
    handed_down = getattr(config, "workerinput", {}).get("server_home")
    config.stash[SERVER_HOME] = Path(handed_down) if handed_down else new_server_home(SERVER_FOLDER)
    if "FAKETIME" in os.environ and config.pluginmanager.has_plugin("xdist"):
        config.pluginmanager.register(RunCrashedTestOnceMore())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist is about to start a worker, which uses the server of the session."""
    node.workerinput["server_home"] = str(node.config.stash[SERVER_HOME])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that speaks for the session removes the server, whichever worker has started it."""
    if not hasattr(config, "workerinput") and (home := config.stash[SERVER_HOME]).exists():
        EmbeddedPostgres(home, config.getoption("--postgres")).remove()
        shutil.rmtree(home)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Seven thousand tests are no garbage: looking for it among them took a third of the collection's time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test's level is the folder it lives in; those of LEFT_OUT run only when asked for."""
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])
    if not config.option.markexpr:
        left_out = [item for item in items if any(item.get_closest_marker(name) for name in LEFT_OUT)]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_report_header() -> str | None:
    return None if SHARED.is_dir() else "../shared is not here: the cases of real venues' data are left out"


@pytest.fixture(params=origins("payloads"))
def payload(request: pytest.FixtureRequest) -> Payloads:
    """Venues' answers by name, once as we made them and once as they were recorded, where recordings are."""
    return Payloads(request.param)


@pytest.fixture(params=origins("market"), scope="module")
def market(request: pytest.FixtureRequest) -> Market:
    """Candles by name, once as we made them and once as they were published, where those are."""
    return Market(request.param)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> EmbeddedPostgres:
    """One throw-away server for the whole session, in a folder of its own with a short name."""
    home = request.config.stash[SERVER_HOME]
    home.mkdir(exist_ok=True)
    home.chmod(0o755)  # as root, the server runs under another account
    server = EmbeddedPostgres(home, request.config.getoption("--postgres"), durable=False)
    with one_at_a_time(home / "start.lock"):
        _remove_servers_of_killed_sessions()
        server.start()
    return server


@pytest.fixture(scope="session")
def template_database(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database that holds our schema and no rows."""

    def make() -> None:
        postgres_server.ensure_database(TEMPLATE)
        with connect(postgres_server.uri(TEMPLATE)) as connection:
            migrate(connection)

    made_once(postgres_server, TEMPLATE, make)
    return TEMPLATE


@pytest.fixture
def database_uri(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """A database of this test's own, with our schema."""
    yield from _fresh_database(postgres_server, template_database)


@pytest.fixture
def empty_database_uri(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database of this test's own, with nothing in it."""
    yield from _fresh_database(postgres_server, "template1")


_numbers = itertools.count(1)


def _fresh_database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{WORKER}_{next(_numbers)}"
    copy_database(server, template, name)
    yield server.uri(name)
    drop_database(server, name)


def _remove_servers_of_killed_sessions() -> None:
    for home in [home for parent in server_parents() for home in parent.glob(f"{SERVER_FOLDER}*")]:
        session_pid = int(home.name.removeprefix(SERVER_FOLDER).split("-")[0])
        if home.stat().st_uid == os.geteuid() and not psutil.pid_exists(session_pid):
            EmbeddedPostgres(home).remove()
            shutil.rmtree(home)

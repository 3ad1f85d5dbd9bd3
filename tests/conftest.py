"""Levels of tests, and a real Postgres for those that need one."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.database import connect
from backfill.storage.migrations import migrate

# They assert too, and pytest shows what differs only in modules that it has been told of.
pytest.register_assert_rewrite(
    "integration.helpers", "integration.exchange", "unit.frames.judged_pages", "unit.frames.hostile_payloads"
)

TESTS = Path(__file__).parent
SERVER_FOLDER = "candle-keeper-test-"
TEMPLATE = "template_of_tests"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres", type=int, default=18, metavar="MAJOR", help="PostgreSQL to test on: 15 to 18")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test's level is the folder it lives in; those that ask a real exchange run only when asked for."""
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])
    if not config.option.markexpr:
        system = [item for item in items if item.get_closest_marker("system")]
        items[:] = [item for item in items if item not in system]
        config.hook.pytest_deselected(items=system)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """One throw-away server for the whole session, in a folder of its own with a short name."""
    _remove_servers_of_killed_sessions()
    home = Path(tempfile.mkdtemp(prefix=f"{SERVER_FOLDER}{os.getpid()}-"))
    home.chmod(0o755)  # as root, the server runs under another account
    server = EmbeddedPostgres(home, request.config.getoption("--postgres"), durable=False)
    server.start()
    yield server
    server.remove()
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def template_database(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database that holds our schema and no rows. Nobody else may connect to it."""
    postgres_server.ensure_database(TEMPLATE)
    with connect(postgres_server.uri(TEMPLATE)) as connection:
        migrate(connection)
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
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        # Without fsync, copying files takes 18 ms and the default, by way of the log, 44 ms.
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield server.uri(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _remove_servers_of_killed_sessions() -> None:
    for home in Path(tempfile.gettempdir()).glob(f"{SERVER_FOLDER}*"):
        session_pid = int(home.name.removeprefix(SERVER_FOLDER).split("-")[0])
        if home.stat().st_uid == os.geteuid() and not psutil.pid_exists(session_pid):
            EmbeddedPostgres(home).remove()
            shutil.rmtree(home)

"""A Postgres that restarts or ends sessions in mid-fill: the fill ends as if nothing had happened."""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import psycopg
import pytest

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.migrations import migrate
from integration.cli.test_processes import UNIVERSE, assert_undisturbed, rows_inserted
from integration.exchange import PaperBlofin
from integration.helpers import DAY_MS, one
from waiting import PATIENCE_S, wait_for
from workers import server_parents

pytestmark = pytest.mark.long

Start = Callable[..., "Popen[str]"]


@pytest.fixture(scope="module")
def own_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A server that no other test uses."""
    home = server_parents()[0] / f"candle-keeper-own-{os.getpid()}"
    home.mkdir()
    home.chmod(0o755)
    server = EmbeddedPostgres(home, request.config.getoption("--postgres"))
    server.start()
    yield server
    server.remove()
    shutil.rmtree(home)


@pytest.fixture
def own_store(own_server: EmbeddedPostgres, environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CandleStore]:
    with psycopg.connect(own_server.uri("postgres"), autocommit=True) as dba:
        dba.execute("DROP DATABASE IF EXISTS candles WITH (FORCE)")
        dba.execute("CREATE DATABASE candles")
    environment.setenv("BACKFILL_DB", own_server.uri())
    (tmp_path / "universe.yaml").write_text(UNIVERSE)
    with connect(own_server.uri()) as session:
        migrate(session)
        yield CandleStore(session)


@pytest.fixture
def five_days(own_store: CandleStore) -> tuple[str, ...]:
    end_ms = math.floor((own_store.now().timestamp() - 60) / 3600) * 3_600_000
    return "--from", str(end_ms - 5 * DAY_MS), "--to", str(end_ms)


def fill_disturbed(
    start_cli: Start, store: CandleStore, exchange: PaperBlofin, span: tuple[str, ...], disturb: Callable[[], None]
) -> str:
    """A whole fill with ``disturb`` after its first pages; what it has said."""
    exchange.latency_ms = 400
    process = start_cli("fill", *span)
    wait_for("the first pages", lambda: rows_inserted(store) > 0 or process.poll() is not None)
    disturb()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, out + err
    assert_undisturbed(store, exchange, span)
    return err


def test_a_fill_outlives_a_restart_of_the_server(
    start_cli: Start,
    own_server: EmbeddedPostgres,
    own_store: CandleStore,
    live_exchange: PaperBlofin,
    five_days: tuple[str, ...],
) -> None:
    def restart() -> None:
        own_server.stop()
        threading.Event().wait(1)
        own_server.start()

    err = fill_disturbed(start_cli, own_store, live_exchange, five_days, restart)

    assert "is opened again" in err


def test_a_fill_outlives_the_end_of_all_its_sessions_again_and_again(
    start_cli: Start, own_store: CandleStore, live_exchange: PaperBlofin, five_days: tuple[str, ...]
) -> None:
    others = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = 'candles' AND pid <> pg_backend_pid()"
    )
    ended: list[int] = []

    def end_sessions() -> None:
        for _ in range(3):
            ended.append(one(own_store.connection, others))
            threading.Event().wait(0.5)

    fill_disturbed(start_cli, own_store, live_exchange, five_days, end_sessions)

    assert ended[0] >= 3


@pytest.mark.parametrize("setting", ["idle_in_transaction_session_timeout = '100ms'", "lock_timeout = '50ms'"])
def test_a_fill_lives_with_the_servers_time_limits(
    start_cli: Start,
    own_server: EmbeddedPostgres,
    own_store: CandleStore,
    live_exchange: PaperBlofin,
    five_days: tuple[str, ...],
    setting: str,
) -> None:
    own_store.connection.execute(f"ALTER DATABASE candles SET {setting}")

    def hold_a_lock() -> None:
        with connect(own_server.uri()) as person, person.transaction():
            person.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            person.execute("SELECT FROM series FOR UPDATE")
            threading.Event().wait(0.08)

    fill_disturbed(start_cli, own_store, live_exchange, five_days, hold_a_lock)

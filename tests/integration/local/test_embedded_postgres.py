"""The embedded server: found again, stopped, killed, removed; and the folders it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from backfill.errors import ConfigurationError, DatabaseUnreachable
from backfill.local.embedded_postgres import OUTSIDE, EmbeddedPostgres
from backfill.local.postgres_programs import Account, PostgresPrograms
from waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.long

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name that every account may enter (pytest's own is private)."""
    folder = Path(tempfile.mkdtemp(prefix="candle-keeper-home-"))
    folder.chmod(0o755)
    yield folder
    EmbeddedPostgres(folder).remove()
    shutil.rmtree(folder)


def postmaster_pid(server: EmbeddedPostgres) -> int:
    return int((server.data / "postmaster.pid").read_text().split()[0])


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def fetch(server: EmbeddedPostgres, statement: str) -> object:
    with psycopg.connect(server.uri("postgres")) as connection:
        row = connection.execute(statement).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None


def test_a_started_server_is_found_again_by_another_process_object(home: Path) -> None:
    EmbeddedPostgres(home).start()
    pid = postmaster_pid(EmbeddedPostgres(home))

    EmbeddedPostgres(home).start()

    assert postmaster_pid(EmbeddedPostgres(home)) == pid
    EmbeddedPostgres(home).stop()
    assert not is_alive(pid)
    assert not EmbeddedPostgres(home).is_running()


def test_a_database_is_made_once_and_outlives_a_restart(home: Path) -> None:
    server = EmbeddedPostgres(home)
    server.start()
    server.ensure_database("candles")
    with psycopg.connect(server.uri("candles")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    server.stop()
    server.start()
    server.ensure_database("candles")

    with psycopg.connect(server.uri("candles")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_it_starts_again_after_its_postmaster_was_killed_in_the_middle_of_a_query(home: Path) -> None:
    server = EmbeddedPostgres(home)
    server.start()
    endless = "import psycopg, sys; psycopg.connect(sys.argv[1]).execute(sys.argv[2])"
    client = subprocess.Popen(
        [
            sys.executable,
            "-c",
            endless,
            server.uri("postgres"),
            "SELECT count(*) FROM generate_series(1, 1e12)",
        ],
        stderr=subprocess.DEVNULL,
    )
    asking = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%1e12%'"
    wait_for("the query to run", lambda: client.poll() is not None or fetch(server, asking) == 2)
    assert client.poll() is None

    psutil.Process(postmaster_pid(server)).kill()
    server.start()

    assert fetch(server, "SELECT 1") == 1
    assert client.wait(timeout=PATIENCE_S) != 0  # its backend did not live on beside the new server


def test_a_pid_file_whose_number_belongs_to_another_process_does_not_stop_it(home: Path) -> None:
    server = EmbeddedPostgres(home)
    server.start()
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n1\n5432\n\n\n\nready\n")

    assert not server.is_running()
    server.start()

    assert fetch(server, "SELECT 1") == 1


def test_remove_leaves_nothing_but_the_home(home: Path) -> None:
    server = EmbeddedPostgres(home)
    server.start()
    pid = postmaster_pid(server)

    server.remove()

    assert not is_alive(pid)
    assert list(home.iterdir()) == []


def test_a_long_path_gets_a_socket_elsewhere_which_remove_takes_along(home: Path) -> None:
    server = EmbeddedPostgres(home / ("deep" * 20))
    server.start()
    socket = server.socket

    assert fetch(server, "SELECT 1") == 1
    assert not socket.is_relative_to(home)
    server.remove()
    assert not socket.exists()


def test_only_the_servers_account_may_enter_the_folder_of_the_socket(home: Path) -> None:
    server = EmbeddedPostgres(home)
    server.start()

    assert server.socket.stat().st_mode & 0o077 == 0
    assert fetch(server, "SHOW listen_addresses") == ""


def test_a_server_that_cannot_start_says_what_its_log_says(home: Path) -> None:
    server = EmbeddedPostgres(home)
    server.start()
    server.stop()
    (server.data / "postgresql.auto.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(DatabaseUnreachable, match="no_such_setting"):
        server.start()


def test_a_major_version_that_is_not_installed_is_named(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="no PostgreSQL 9"):
        EmbeddedPostgres(home, major=9).start()


@pytest.mark.parametrize("major", [16, 18])
def test_the_bundled_versions_are_what_they_say(home: Path, major: int) -> None:
    server = EmbeddedPostgres(home, major, durable=False)
    server.start()

    assert str(fetch(server, "SHOW server_version")).startswith(f"{major}.")
    server.stop()


@pytest.mark.skipif(not AS_ROOT, reason="only root lends the server another account")
def test_as_root_a_private_home_keeps_its_mode_and_the_data_lies_elsewhere(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(private / ".backfill")
    server.start()
    elsewhere = server.data.parent

    assert fetch(server, "SELECT 1") == 1
    assert elsewhere.parent == OUTSIDE
    assert private.stat().st_mode & 0o777 == 0o700
    server.remove()
    assert not elsewhere.exists()
    assert list((private / ".backfill").iterdir()) == []


@pytest.mark.skipif(not AS_ROOT, reason="only root lends the server another account")
def test_as_root_a_copied_project_does_not_use_the_data_of_its_original(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    original = EmbeddedPostgres(private / "original")
    original.start()
    shutil.copytree(private / "original", private / "copy", symlinks=True)

    copy = EmbeddedPostgres(private / "copy")
    copy.start()

    assert copy.data != original.data
    copy.remove()
    assert original.is_running()
    original.remove()


@pytest.mark.skipif(not AS_ROOT, reason="only root lends the server another account")
def test_as_root_a_home_deleted_by_hand_and_made_anew_starts_empty(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(private / ".backfill")
    server.start()
    server.ensure_database("old")
    shutil.rmtree(private / ".backfill")

    server.start()

    assert fetch(server, "SELECT count(*) FROM pg_database WHERE datname = 'old'") == 0
    server.remove()


@pytest.mark.skipif(not AS_ROOT, reason="only root lends the server another account")
def test_as_root_programs_that_the_account_cannot_reach_are_copied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account.current()
    installed = PostgresPrograms.find(18, account, copies=home / "unused").folder
    site = home / "private" / "site-packages"
    site.mkdir(parents=True)
    (home / "private").chmod(0o700)
    wheel = installed.parent.parent
    shutil.copytree(wheel.with_name(wheel.name + ".libs"), site / (wheel.name + ".libs"))
    shutil.copytree(wheel / "pginstall18", site / wheel.name / "pginstall18")
    monkeypatch.setattr("backfill.local.postgres_programs._wheel_folder", lambda: site / wheel.name)

    programs = PostgresPrograms.find(18, account, copies=home / "copies")

    assert programs.folder.is_relative_to(home / "copies")
    programs.run("initdb", "--version", cwd=home)
    again = PostgresPrograms.find(18, account, copies=home / "copies")
    assert again.folder == programs.folder

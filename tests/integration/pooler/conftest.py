"""A pgbouncer in transaction mode before the test server; without the program these tests are left out."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backfill.local.embedded_postgres import EmbeddedPostgres
from waiting import PATIENCE_S, wait_for

POOL_SIZE = 4
PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")


@pytest.fixture(scope="session")
def pooler_port(postgres_server: EmbeddedPostgres) -> Iterator[int]:
    """The port of a pgbouncer whose pool holds four server sessions a database."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not here: tests/install_pgbouncer.sh")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))  # one that the server's account can reach
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={postgres_server.socket} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\nmax_client_conn = 200\nquery_wait_timeout = 60\n"
    )
    account = postgres_server.socket.stat()
    as_account: dict[str, Any] = {"user": account.st_uid, "group": account.st_gid} if os.geteuid() == 0 else {}
    folder.chmod(0o755)
    settings.chmod(0o644)
    log = settings.with_suffix(".log")
    with log.open("wb") as said:
        process = subprocess.Popen(
            [PGBOUNCER, str(settings)], stdout=said, stderr=said, stdin=subprocess.DEVNULL, **as_account
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for("pgbouncer", answers)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)
        shutil.rmtree(folder)


@pytest.fixture
def pooled_uri(pooler_port: int, database_uri: str) -> str:
    """The test's database, by way of the pooler."""
    name = database_uri.partition("?")[0].rpartition("/")[2]
    return f"postgresql://postgres@127.0.0.1:{pooler_port}/{name}"


def leftovers(database_uri: str) -> list[Any]:
    """Locks and open transactions that nobody works under."""
    sql = (
        "SELECT 'lock', count(*) FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) HAVING count(*) > 0 "
        "UNION ALL SELECT 'open', count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state LIKE 'idle in%' HAVING count(*) > 0 "
        "UNION ALL SELECT 'claim', count(*) FROM backfill.claims HAVING count(*) > 0"
    )
    with psycopg.connect(database_uri) as connection:
        return connection.execute(sql).fetchall()

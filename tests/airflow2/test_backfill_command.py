"""``airflow dags backfill`` on Airflow 2.11: ten days with holes, as a person catches them up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.database import connect
from integration.ten_days import FIRST_DAY, LAST_DAY, assert_caught_up, days_by_start, environment, fill_and_tear

ROOT = Path(__file__).parents[2]
WITHIN_S = 1800
Airflow = Callable[..., None]


@pytest.fixture
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(SyntheticMarket()) as running:
        yield running


@pytest.fixture
def airflow(
    postgres_server: EmbeddedPostgres,
    empty_database_uri: str,
    database_uri: str,
    exchange: PaperExchange,
    tmp_path: Path,
) -> Airflow:
    """Runs the ``airflow`` program over a fresh metadata database, and shows what it said if it fails."""
    settings = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "6",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": empty_database_uri.replace("postgresql:", "postgresql+psycopg2:", 1),
        **environment(database_uri, exchange, tmp_path / "universe.yaml"),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "BACKFILL_"))}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(*arguments: str) -> None:
        command = [sys.executable, "-m", "airflow", *arguments]
        with (tmp_path / "airflow.out").open("w+") as said:
            process = subprocess.Popen(
                command, env={**inherited, **settings}, cwd=tmp_path, stdout=said, stderr=said, start_new_session=True
            )
            try:
                process.wait(WITHIN_S)
            finally:  # with its workers, however it ends
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == 0, (tmp_path / "airflow.out").read_text()[-20_000:]

    run("db", "migrate")
    return run


@pytest.mark.parametrize("backwards", [False, True], ids=["oldest first", "newest first"])
def test_a_backfill_of_ten_days_ends_with_all_of_them_whole(backwards, airflow, database_uri, exchange, tmp_path):
    lost = fill_and_tear(database_uri, exchange, tmp_path / "universe.yaml")

    dates = ("-s", f"{FIRST_DAY:%Y-%m-%d}", "-e", f"{LAST_DAY:%Y-%m-%d}")
    airflow("dags", "backfill", *dates, *(["--run-backwards"] if backwards else []), "candles_catch_up")

    with connect(database_uri) as connection:
        assert_caught_up(connection, exchange, lost)
        days = days_by_start(connection)
    assert (sum(days[:3]) > sum(days[-3:])) is backwards

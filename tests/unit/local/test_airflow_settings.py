"""The environment that Airflow's processes get."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from backfill.local.airflow_settings import MARK, AirflowSettings, keys
from backfill.local.executor import LOCAL


def environment(home: Path, inherited: dict[str, str], *, schedule: bool = False) -> dict[str, str]:
    settings = AirflowSettings(
        home=home,
        database="postgresql://postgres@/airflow?host=%2Fsocket",
        dags=Path("/project/dags"),
        plugins=Path("/project/plugins"),
        api_port=8123,
        schedule=schedule,
        executor=LOCAL.options,
    )
    return settings.environment(inherited, {"BACKFILL_UNIVERSE": "ours"})


def test_the_settings_of_another_airflow_are_left_behind_and_connections_kept(tmp_path: Path) -> None:
    given = environment(
        tmp_path,
        {
            "AIRFLOW_HOME": "/elsewhere",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": "redis://",
            "AIRFLOW_CONN_BLOFIN_DEFAULT": "theirs",
            "PYTHONDONTWRITEBYTECODE": "1",
            "BACKFILL_UNIVERSE": "theirs",
            "PATH": "/bin",
        },
    )

    assert given["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert given["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert not given.keys() & {"AIRFLOW__CELERY__BROKER_URL", "PYTHONDONTWRITEBYTECODE"}
    assert (given["AIRFLOW_CONN_BLOFIN_DEFAULT"], given["PATH"]) == ("theirs", "/bin")
    assert given["BACKFILL_UNIVERSE"] == "ours"
    assert given[MARK] == str(tmp_path)


def test_the_api_server_listens_on_the_loopback_address_and_tasks_find_it_there(tmp_path: Path) -> None:
    given = environment(tmp_path, {})

    assert (given["AIRFLOW__API__HOST"], given["AIRFLOW__API__PORT"]) == ("127.0.0.1", "8123")
    assert given["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8123/execution/"


def test_every_folder_that_airflow_writes_to_lies_in_the_home(tmp_path: Path) -> None:
    given = environment(tmp_path, {})
    folders = [value for name, value in given.items() if name.endswith(("FOLDER", "PATH", "DIRECTORY", "HOME"))]
    written = [folder for folder in folders if not folder.startswith("/project/")]

    assert len(written) >= 4
    assert all(folder.startswith(str(tmp_path)) for folder in written)


def test_the_timetable_is_followed_only_where_it_is_asked_for(tmp_path: Path) -> None:
    assert environment(tmp_path, {})["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "False"
    assert environment(tmp_path, {}, schedule=True)["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "True"


def test_the_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "airflow" / "keys.json"

    made = keys(file)

    assert keys(file) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(set(made.values())) == 3


def test_the_password_is_made_once_only_its_owner_reads_it_and_only_who_has_it_is_an_admin(tmp_path: Path) -> None:
    given = environment(tmp_path, {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"})
    file = Path(given["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    passwords = json.loads(file.read_text())

    assert given["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    assert given["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "admin:admin"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(passwords["admin"]) >= 16
    environment(tmp_path, {})
    assert json.loads(file.read_text()) == passwords

"""The environment of Airflow's processes. Nothing is written outside ``home``."""

from __future__ import annotations

import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backfill.config.loopback import LOOPBACK_ONLY

HOST = "127.0.0.1"
# Set to ``home`` in all our processes: `make down` ends only those.
MARK = "CANDLE_KEEPER_HOME"
USER = "admin"


@dataclass(frozen=True)
class Login:
    """Of the only user, whose role is Airflow's ADMIN."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class AirflowSettings:
    """``database``: libpq URI of the metadata. ``schedule``: whether timetables start Dags.

    ``executor``: Airflow's options of it, by SECTION__KEY.
    """

    home: Path
    database: str
    dags: Path
    plugins: Path
    api_port: int
    schedule: bool
    executor: Mapping[str, str]

    @property
    def url(self) -> str:
        """The API server's base URL."""
        return f"http://{HOST}:{self.api_port}"

    def environment(self, inherited: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
        """``inherited`` without another Airflow's settings, then these, then ``ours``.

        ``AIRFLOW_CONN_*`` are kept.
        """
        kept = {
            name: value
            for name, value in inherited.items()
            if not name.startswith("AIRFLOW_") or name.startswith("AIRFLOW_CONN_")
        }
        # Compiling all imports again makes tasks 4 times slower.
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        marks = {MARK: str(self.home), LOOPBACK_ONLY: "1", "SPT_NOENV": "1"}
        return {**kept, **self._airflow(), **ours, **marks}

    def login(self) -> Login:
        """The user and password, made up at the first start."""
        return Login(USER, kept(self._passwords, {USER: secrets.token_urlsafe(12)})[USER])

    @property
    def _passwords(self) -> Path:
        return self.home / "airflow" / "passwords.json"

    def _airflow(self) -> dict[str, str]:
        folder = self.home / "airflow"
        options = {
            **self.executor,
            "CORE__PARALLELISM": str(parallelism()),
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__PLUGINS_FOLDER": str(self.plugins),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{self.login().user}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords),
            "CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the default needs DNS
            "API__HOST": HOST,
            "API__PORT": str(self.api_port),
            "API__BASE_URL": self.url,
            "DATABASE__SQL_ALCHEMY_CONN": self.database.replace("postgresql:", "postgresql+psycopg2:", 1),
            # A busy machine loads Dag files slowly.
            "CORE__DAGBAG_IMPORT_TIMEOUT": "300",
            "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "330",
            "DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(folder / "bundles"),
            "LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(self.home / "logs" / "dag_processor"),
            "USAGE_DATA_COLLECTION__ENABLED": "False",
            "SCHEDULER__USE_JOB_SCHEDULE": str(self.schedule),
            # Quick hand-over and recovery.
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
            "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
            **keys(folder / "keys.json"),
        }
        return {
            "AIRFLOW_HOME": str(folder),
            **{f"AIRFLOW__{name}": value for name, value in options.items()},
        }


def parallelism() -> int:
    """Concurrent tasks: more than cores, as they mostly wait."""
    return max(4, 2 * (os.cpu_count() or 1))


def keys(file: Path) -> dict[str, str]:
    """Airflow's secrets, generated once, readable by their owner only."""
    made_up = {
        "CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "API__SECRET_KEY": secrets.token_urlsafe(32),
        "API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
    }
    return kept(file, made_up)


def kept(file: Path, made_up: dict[str, str]) -> dict[str, str]:
    """What ``file`` holds; ``made_up`` is written to it, for its owner alone, if it is not there."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            json.dump(made_up, stream, indent=2)
    stored: dict[str, str] = json.loads(file.read_text())
    return stored

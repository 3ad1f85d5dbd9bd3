"""Calls of Airflow's REST API (v2, Airflow 3) for the local stack."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from backfill.errors import LocalStackFailed
from backfill.local.airflow_settings import Login

# A busy machine may answer late; harmless calls are repeated.
TIMEOUT_S = 60.0
PATIENCE_S = 180.0
PAUSE_S = 0.5
REPEATABLE = ("GET", "PATCH")
COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
ENDED = ("success", "failed")


@dataclass(frozen=True)
class DagRun:
    """``state``: queued, running, success or failed. ``run_after``: the time it works as of."""

    run_id: str
    state: str
    run_after: datetime
    queued_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the run succeeded or failed."""
        return self.state in ENDED

    def is_of_before(self, moment: datetime) -> bool:
        """Whether it was made before ``moment``."""
        return self.queued_at is not None and self.queued_at < moment


class _Silent(LocalStackFailed):
    """No answer, or an internal error."""


class AirflowApi:
    """Acts as the user of ``login``, who signs in when first refused."""

    def __init__(self, url: str, login: Login) -> None:
        self.url = url
        self.login = login
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy to ourselves

    def unhealthy(self) -> list[str]:
        """Components not reported healthy; all while nothing answers."""
        try:
            health = self._ask_once("GET", "/api/v2/monitor/health")
        except LocalStackFailed:
            return ["api-server", *COMPONENTS]
        return [name for name in COMPONENTS if health[name]["status"] != "healthy"]

    def parsed_at(self, dag_id: str) -> datetime | None:
        """When the Dag processor last read the Dag; None: never."""
        try:
            dag = self._ask_once("GET", f"/api/v2/dags/{dag_id}")
        except LocalStackFailed:
            return None
        parsed = dag["last_parsed_time"]
        return _moment(parsed) if parsed else None

    def next_run_at(self, dag_id: str) -> datetime | None:
        """When the schedule starts the Dag next; None: never."""
        next_run = self._ask("GET", f"/api/v2/dags/{dag_id}")["next_dagrun_run_after"]
        return _moment(next_run) if next_run else None

    def import_errors(self) -> list[str]:
        """File and traceback of Dag files that fail to load."""
        errors = self._ask("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}:\n{error['stack_trace']}" for error in errors]

    def unpause(self, dag_id: str) -> None:
        """Let the Dag's runs start."""
        self._ask("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> DagRun:
        """Start a run of the Dag with ``conf``."""
        return _dag_run(
            self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf or {}})
        )

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """The run's current state; failures are raised at once."""
        return _dag_run(self._ask_once("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"))

    def unfinished_runs(self, dag_id: str) -> list[DagRun]:
        """The queued and running runs."""
        params = {"state": ["queued", "running"], "limit": 100}
        return [
            _dag_run(answer) for answer in self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=params)["dag_runs"]
        ]

    def fail(self, dag_id: str, run: DagRun) -> None:
        """Mark the run as failed."""
        self._ask("PATCH", f"/api/v2/dags/{dag_id}/dagRuns/{run.run_id}", json={"state": "failed"})

    def failed_tasks(self, dag_id: str, run_id: str) -> list[str]:
        """The run's failed task instances, with labels."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found = self._ask("GET", path, params={"state": "failed", "limit": 100})["task_instances"]
        return [" ".join(filter(None, (one["task_id"], one["rendered_map_index"]))) for one in found]

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        """Ask patiently: Airflow may be busy or restarting."""
        if method not in REPEATABLE:
            return self._ask_once(method, path, **arguments)
        patiently = Retrying(
            retry=retry_if_exception_type(_Silent),
            stop=stop_after_delay(PATIENCE_S),
            wait=wait_fixed(PAUSE_S),
            reraise=True,
        )
        return patiently(self._ask_once, method, path, **arguments)

    def _ask_once(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._send(method, path, **arguments)
        if response.status_code == requests.codes.unauthorized:
            credentials = {"username": self.login.user, "password": self.login.password}
            token = self._send("POST", "/auth/token", json=credentials)
            if token.ok:
                self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
                response = self._send(method, path, **arguments)
        if not response.ok:
            kind = _Silent if response.status_code >= requests.codes.server_error else LocalStackFailed
            raise kind(f"{method} {path}: {response.status_code} {response.text:.300}")
        return response.json()

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        try:
            return self._session.request(method, self.url + path, timeout=TIMEOUT_S, **arguments)
        except requests.RequestException as error:
            raise _Silent(f"{method} {path}: no answer from {self.url} ({type(error).__name__})") from error


def _dag_run(answer: dict[str, Any]) -> DagRun:
    queued = answer.get("queued_at")
    return DagRun(
        answer["dag_run_id"], answer["state"], _moment(answer["run_after"]), _moment(queued) if queued else None
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))

"""Airflow's API on a machine that is slow, or while its server is being started again."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backfill.errors import LocalStackFailed
from backfill.local import airflow_api
from backfill.local.airflow_api import AirflowApi, DagRun
from backfill.local.airflow_settings import Login

LOGIN = Login("admin", "a-password")
NO_RUNS = {"dag_runs": []}
LATE_S, TIMEOUT_S = 5.0, 0.2


class SlowAirflow(ThreadingHTTPServer):
    """Spoils its first ``spoilt`` answers: ``late`` ones come too late, of others the number is the status."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spoilt: list[str | int] = []
        self.asked: list[str] = []
        self.logins: list[dict[str, str]] = []
        self.closing = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: SlowAirflow

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/auth/token":
            self.server.logins.append(json.loads(sent))
        self.server.asked.append(self.command)
        manner = self.server.spoilt.pop(0) if self.server.spoilt else 200
        if manner == "late":
            self.server.closing.wait(LATE_S)
            self.close_connection = True
            return
        body = json.dumps({**NO_RUNS, "access_token": "a-token"}).encode()
        self.send_response(int(manner))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowAirflow]:
    monkeypatch.setattr(airflow_api, "TIMEOUT_S", TIMEOUT_S)
    monkeypatch.setattr(airflow_api, "PAUSE_S", 0.01)
    with SlowAirflow() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def api(airflow: SlowAirflow) -> AirflowApi:
    return AirflowApi(f"http://127.0.0.1:{airflow.server_port}", LOGIN)


@pytest.mark.parametrize("spoilt", [["late"], ["late", "late", "late"], [500, 503], [503, "late"]])
def test_an_answer_that_fails_is_asked_for_again(
    airflow: SlowAirflow, api: AirflowApi, spoilt: list[str | int]
) -> None:
    airflow.spoilt = spoilt.copy()
    assert api.unfinished_runs("a_dag") == []
    assert len(airflow.asked) == len(spoilt) + 1


def test_what_would_start_a_second_run_is_asked_once(airflow: SlowAirflow, api: AirflowApi) -> None:
    airflow.spoilt = ["late"]
    with pytest.raises(LocalStackFailed, match="POST /api/v2/dags/a_dag/dagRuns: no answer"):
        api.trigger("a_dag")
    assert airflow.asked == ["POST"]


def test_a_refusal_is_raised_at_once(airflow: SlowAirflow, api: AirflowApi) -> None:
    airflow.spoilt = [404, 404]
    with pytest.raises(LocalStackFailed, match="404"):
        api.unfinished_runs("a_dag")
    assert len(airflow.asked) == 1


def test_who_looks_again_anyway_is_not_kept_waiting(airflow: SlowAirflow, api: AirflowApi) -> None:
    airflow.spoilt = [503, 503, 503]
    with pytest.raises(LocalStackFailed, match="503"):
        api.dag_run("a_dag", "a_run")
    assert "api-server" in api.unhealthy()
    assert api.parsed_at("a_dag") is None
    assert len(airflow.asked) == 3


def test_an_airflow_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "PATIENCE_S", 0.1)
    with socket.socket() as closed:  # bound, so that nothing else listens there
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(LocalStackFailed, match="no answer"):
            AirflowApi(f"http://127.0.0.1:{closed.getsockname()[1]}", LOGIN).unfinished_runs("a_dag")


def test_who_is_refused_logs_in_with_the_password_and_asks_again(airflow: SlowAirflow, api: AirflowApi) -> None:
    airflow.spoilt = [401]
    assert api.unfinished_runs("a_dag") == []
    assert airflow.logins == [{"username": "admin", "password": "a-password"}]
    assert airflow.asked == ["GET", "POST", "GET"]
    assert "a-password" not in repr(api.login)


def test_a_run_that_airflow_has_made_since_is_not_an_earlier_stacks() -> None:
    at = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
    run = DagRun("scheduled__1", "running", at - timedelta(hours=1), queued_at=at + timedelta(seconds=3))
    assert run.is_of_before(at + timedelta(minutes=1))
    assert not run.is_of_before(at)
    assert not replace(run, queued_at=None).is_of_before(at)

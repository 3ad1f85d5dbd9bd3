"""The coverage page inside Airflow's own API server: who may see it, by header and by the browser's cookie."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_line import ON_AIRFLOW_2

pytestmark = pytest.mark.skipif(ON_AIRFLOW_2, reason="Airflow 2 has no such page")

PLUGINS = Path(__file__).parents[2] / "plugins"
# Every route of the pages, and what it answers where no series is kept.
PATHS = {
    "/": 200,
    "/static/coverage.js": 200,
    "/openapi.json": 200,
    "/sync-status/BTC-USDT/1m": 200,
    **{f"/api/{name}": 200 for name in ("coverage", "heat?series=1", "gaps", "runs", "findings", "quarantine")},
    **{f"/api/{name}": 200 for name in ("revisions", "instrument-log", "sources", "progress", "rights")},
    **{f"/api/{name}/BTC-USDT/1m": 404 for name in ("series", "chart", "candles", "conditions")},
    "/api/explain/BTC-USDT/1m?open_time=2026-01-01T00:00:00Z": 404,
}  # fmt: skip
# None may be decided on: there are no such rows.
DECISIONS = {"/api/findings/dismiss": 409, "/api/quarantine/discard": 409, "/api/quarantine/release": 409}
NEVER_SERVED = ["/docs", "/redoc"]
FILL = "/api/v2/dags/candles_catch_up/dagRuns"

looks, decides = [*PATHS, *NEVER_SERVED], list(DECISIONS)
SERVER = f"""
import json
from airflow import settings
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.base import Base
from fastapi.testclient import TestClient

client = TestClient(create_app(apps="core"), base_url="http://127.0.0.1:8080")
Base.metadata.create_all(settings.engine)

def token(name, role):
    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))

mark = {{"X-Candles": "decide"}}
by = {{"json": {{"ids": [1], "reason": "it is wrong"}}}}
callers = {{
    "anonymous": {{}},
    "without a role": {{"Authorization": "Bearer " + token("eve", None)}},
    "viewer": {{"Authorization": "Bearer " + token("ann", "viewer")}},
    "viewer's browser": {{"Cookie": "_token=" + token("ann", "viewer")}},
    "user": {{"Authorization": "Bearer " + token("bob", "user")}},
}}
asked = lambda method, path, **headers: client.request(method, path, headers=headers).status_code
strangers = {{
    "another name": asked("GET", "/backfill/", Host="evil.example"),
    "another site": asked("POST", "/auth/token", Origin="https://evil.example"),
    "without a password": asked("GET", "/auth/token"),
}}
may = {{
    caller: {{
        "looks": {{path: client.get("/backfill" + path, headers=sent).status_code for path in {looks}}},
        "decides": {{one: client.post("/backfill" + one, headers=sent | mark, **by).status_code for one in {decides}}},
        "fills": client.post({FILL!r}, headers=sent, json={{"logical_date": None}}).status_code,
        "rights": client.get("/backfill/api/rights", headers=sent).json(),
    }}
    for caller, sent in callers.items()
}}
print(json.dumps({{**may, "strangers": strangers}}))
"""


@pytest.fixture
def answers(database_uri: str, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Caller → what it may, from one boot of the server over a metadata database of its own."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "_AIRFLOW_PROCESS_CONTEXT": "server",
        "AIRFLOW_HOME": str(tmp_path),
        "CANDLE_KEEPER_LOOPBACK_ONLY": "1",
        "AIRFLOW_CONN_CANDLES_DB": database_uri,
        "AIRFLOW__API_AUTH__JWT_SECRET": "of this test only, and of no one else; long enough for HS512 keys",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ann:viewer,eve:viewer,bob:user",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
    }
    done = subprocess.run(
        [sys.executable, "-c", SERVER], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    by_caller: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return by_caller


def test_only_who_may_see_the_runs_sees_the_pages_and_a_viewer_only_looks(answers: dict[str, dict[str, Any]]) -> None:
    strangers = answers.pop("strangers")
    never_served = dict.fromkeys(NEVER_SERVED, 404)
    assert {caller: may["looks"] for caller, may in answers.items()} == {
        "anonymous": dict.fromkeys(PATHS, 401) | never_served,
        "without a role": dict.fromkeys(PATHS, 403) | never_served,
        "viewer": PATHS | never_served,
        "viewer's browser": PATHS | never_served,
        "user": PATHS | never_served,
    }
    assert strangers == {"another name": 403, "another site": 403, "without a password": 403}
    # Who may edit the Dag decides, and who may trigger it fills.
    assert {caller: may["decides"] for caller, may in answers.items()} == {
        "anonymous": dict.fromkeys(DECISIONS, 401),
        "without a role": dict.fromkeys(DECISIONS, 403),
        "viewer": dict.fromkeys(DECISIONS, 403),
        "viewer's browser": dict.fromkeys(DECISIONS, 403),
        "user": DECISIONS,
    }
    # The Dag is not in this metadata database: who may trigger it is told so.
    assert {caller: may["fills"] for caller, may in answers.items()} == {
        "anonymous": 401,
        "without a role": 403,
        "viewer": 403,
        "viewer's browser": 403,
        "user": 404,
    }
    assert answers["viewer"]["rights"] == {"may_fill": False, "may_decide": False}
    assert answers["user"]["rights"] == {"may_fill": True, "may_decide": True}

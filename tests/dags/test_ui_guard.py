"""The coverage page inside Airflow's own API server: who may see it, by header and by the browser's cookie."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(version("apache-airflow").startswith("2."), reason="Airflow 2 has no such page")

PLUGINS = Path(__file__).parents[2] / "plugins"
PATHS = ["/backfill/", "/backfill/static/coverage.js", "/backfill/api/coverage", "/backfill/api/runs"]
NEVER_SERVED = ["/backfill/docs", "/backfill/redoc", "/backfill/openapi.json"]

SERVER = f"""
import json
from airflow import settings
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.base import Base
from fastapi.testclient import TestClient

client = TestClient(create_app(apps="core"))
Base.metadata.create_all(settings.engine)

def token(name, role):
    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))

callers = {{
    "anonymous": {{}},
    "without a role": {{"headers": {{"Authorization": "Bearer " + token("eve", None)}}}},
    "viewer": {{"headers": {{"Authorization": "Bearer " + token("ann", "viewer")}}}},
    "viewer's browser": {{"headers": {{"Cookie": "_token=" + token("ann", "viewer")}}}},
}}
print(json.dumps({{
    caller: {{path: client.get(path, **sent).status_code for path in {PATHS + NEVER_SERVED}}}
    for caller, sent in callers.items()
}}))
"""


@pytest.fixture
def answers(database_uri: str, tmp_path: Path) -> dict[str, dict[str, int]]:
    """Caller → path → status, from one boot of the server over a metadata database of its own."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "_AIRFLOW_PROCESS_CONTEXT": "server",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONN_CANDLES_DB": database_uri,
        "AIRFLOW__API_AUTH__JWT_SECRET": "of this test only, and of no one else; long enough for HS512 keys",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ann:viewer,eve:viewer",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
    }
    done = subprocess.run(
        [sys.executable, "-c", SERVER], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    by_caller: dict[str, dict[str, int]] = json.loads(done.stdout.splitlines()[-1])
    return by_caller


def test_only_who_may_see_the_runs_sees_the_page(answers: dict[str, dict[str, int]]) -> None:
    never_served = dict.fromkeys(NEVER_SERVED, 404)
    assert answers == {
        "anonymous": dict.fromkeys(PATHS, 401) | never_served,
        "without a role": dict.fromkeys(PATHS, 403) | never_served,
        "viewer": dict.fromkeys(PATHS, 200) | never_served,
        "viewer's browser": dict.fromkeys(PATHS, 200) | never_served,
    }

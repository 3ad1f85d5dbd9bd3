import asyncio
import re
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.routing import APIRoute

from backfill.errors import DatabaseUnreachable, SettingsInvalid
from backfill.storage.database import Connection
from backfill.ui.coverage_app import ASSETS, STATIC, coverage_app

PATHS = ["/", *(f"/static/{name}" for name in sorted(ASSETS)), "/api/coverage", "/api/runs"]


def get(app: FastAPI, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get(path)

    return asyncio.run(ask())


def nobody() -> None:
    raise HTTPException(401)


def everybody() -> None:
    pass


def failing(error: Exception) -> Callable[[], Connection]:
    def connect() -> Connection:
        raise error

    return connect


unreachable = failing(DatabaseUnreachable("postgresql://ann@db.internal/candles: connection refused"))


@pytest.mark.parametrize("path", PATHS)
def test_the_guard_is_asked_before_anything_is_shown(path: str) -> None:
    assert get(coverage_app(unreachable, nobody), path).status_code == 401


def test_there_is_no_route_that_the_guarded_paths_leave_out() -> None:
    app = coverage_app(unreachable, nobody)
    routes = {route.path for route in app.routes if isinstance(route, APIRoute)}
    assert len(routes) == len(app.routes), "a mount or a plain route would pass by the guard"
    assert routes == {re.sub(r"/static/.+", "/static/{name}", path) for path in PATHS}


@pytest.mark.parametrize("path", ["/static/coverage.html", "/static/..%2Fcoverage_app.py", "/static/%2Fetc%2Fpasswd"])
def test_only_the_two_assets_are_served(path: str) -> None:
    assert get(coverage_app(unreachable, everybody), path).status_code == 404


def test_a_database_error_is_shown_without_addresses() -> None:
    answer = get(coverage_app(unreachable, everybody), "/api/coverage")
    assert (answer.status_code, answer.json()) == (503, {"error": "No answer from Postgres."})


def test_a_setting_to_mend_is_shown_as_it_is() -> None:
    app = coverage_app(failing(SettingsInvalid(["candles_db: has no host"])), everybody)
    answer = get(app, "/api/runs")
    assert answer.status_code == 503
    assert "candles_db: has no host" in answer.json()["error"]


def test_the_page_asks_only_for_files_and_endpoints_of_this_app() -> None:
    text = "".join(file.read_text() for file in sorted(STATIC.iterdir()))
    asked = re.findall(r"""(?:href|src)="([^"]+)"|read\("([^"]+)"\)""", text)
    assert {first or second for first, second in asked} == {path.lstrip("/") for path in PATHS} - {""}
    assert not re.search(r"https?:|@import|url\(", text)


def test_the_page_may_run_nothing_but_its_own_script() -> None:
    answer = get(coverage_app(unreachable, everybody), "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?! src=)|<style|\son\w+=|style=", answer.text)


def test_what_comes_from_the_database_never_becomes_markup() -> None:
    script = (STATIC / "coverage.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)

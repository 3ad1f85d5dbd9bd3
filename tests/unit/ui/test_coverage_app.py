import asyncio
import hashlib
import re

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.routing import APIRoute

from backfill.errors import DatabaseUnreachable, SettingsInvalid
from backfill.storage.database import Connection
from backfill.ui.api import Pages
from backfill.ui.coverage_app import ASSETS, STATIC, VENDORED, coverage_app

FILES = ["/", *(f"/static/{name}" for name in sorted(ASSETS | VENDORED))]
OURS = [file for file in sorted(STATIC.iterdir()) if file.is_file()]
SCRIPTS = "".join(file.read_text() for file in OURS if file.suffix == ".js")


def call(app: FastAPI, path: str, method: str = "GET", **sent: object) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, path, **sent)  # type: ignore[arg-type]

    return asyncio.run(ask())


def nobody() -> None:
    raise HTTPException(401)


def forbidden() -> None:
    raise HTTPException(403, "Forbidden")  # Airflow's own words


def everybody() -> None:
    pass


def failing(error: Exception) -> Pages:
    def connect() -> Connection:
        raise error

    return Pages(connect)


unreachable = failing(DatabaseUnreachable("postgresql://ann@db.internal/candles: connection refused"))


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and path, with something in the place of its parameters."""
    found = [route for route in app.routes if isinstance(route, APIRoute)]
    assert len(found) == len(app.routes), "a mount or a plain route would pass by the guard"
    return [(method, re.sub(r"{\w+}", "x", route.path)) for route in found for method in sorted(route.methods)]


@pytest.mark.parametrize(
    ("method", "path"), [*routes(coverage_app(unreachable, everybody)), *(("GET", one) for one in FILES)]
)
def test_the_guard_is_asked_before_anything_is_shown(method: str, path: str) -> None:
    assert call(coverage_app(unreachable, nobody), path, method).status_code == 401


def test_who_may_look_may_not_decide() -> None:
    app = coverage_app(unreachable, everybody)
    deciding = [path for method, path in routes(app) if method != "GET"]
    assert len(deciding) == 3
    sent = {"json": {"ids": [1], "reason": "it is wrong"}, "headers": {"X-Candles": "decide"}}
    assert {call(app, path, "POST", **sent).status_code for path in deciding} == {403}
    assert call(app, "/api/rights").json() == {"may_fill": False, "may_decide": False}


def test_another_sites_form_cannot_decide() -> None:
    app = coverage_app(failing(AssertionError("asked the database")), everybody, deciding=everybody)
    answer = call(app, "/api/findings/dismiss", "POST", json={"ids": [1], "reason": "it is wrong"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["header", "X-Candles"])


@pytest.mark.parametrize(
    "path", ["/static/coverage.html", "/static/..%2Fcoverage_app.py", "/static/%2Fetc%2Fpasswd", "/static/README.md"]
)
def test_only_the_assets_are_served(path: str) -> None:
    assert call(coverage_app(unreachable, everybody), path).status_code == 404


def test_a_database_error_is_shown_without_addresses() -> None:
    answer = call(coverage_app(unreachable, everybody), "/api/coverage")
    assert (answer.status_code, answer.json()) == (503, {"error": "No answer from Postgres."})


def test_a_setting_to_mend_is_shown_as_it_is() -> None:
    app = coverage_app(failing(SettingsInvalid(["candles_db: has no host"])), everybody)
    answer = call(app, "/api/runs")
    assert answer.status_code == 503
    assert "candles_db: has no host" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/coverage?limit=0", "limit"),
        ("/api/coverage?sort=volume", "sort"),
        ("/api/coverage?search=a%00b", "search"),
        ("/api/gaps?from=2026-01-01", "from"),
        ("/api/chart/BTC-USDT/1m?from=0001-01-01T00:00:00%2B14:00", "from"),
        ("/api/candles/BTC-USDT/1m?format=xlsx", "format"),
        ("/api/coverage?symbl=BTC-USDT", "symbl"),
        ("/api/conditions/BTC-USDT/1m?days=401", "days"),
    ],
)
def test_a_bad_value_is_refused_by_its_name_before_the_database_is_asked(path: str, name: str) -> None:
    app = coverage_app(failing(AssertionError("asked the database")), everybody)
    answer = call(app, path)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", name])


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/api/gaps?symbols=BTC-USDT", "no such parameter; did you mean symbol?"),
        ("/api/gaps?timeframe=1m&timeframe=7m", "unknown timeframe; known are 1m "),
        ("/api/progress?hours=3", "no such parameter; known are none"),
    ],
)
def test_a_filter_that_would_match_nothing_or_all_is_refused_with_a_hint(path: str, sentence: str) -> None:
    answer = call(coverage_app(failing(AssertionError("asked the database")), everybody), path)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"][0]["msg"]


def test_refusals_name_the_path_and_the_right_that_is_lacking() -> None:
    app = coverage_app(unreachable, nobody, guarded_as="a_dag")
    assert call(app, "/api/runs").json()["detail"].startswith("GET /api/runs: sign in to Airflow")
    app = coverage_app(unreachable, everybody, deciding=forbidden, guarded_as="a_dag")
    sent = {"json": {"ids": [1], "reason": "it is wrong"}, "headers": {"X-Candles": "decide"}}
    assert call(app, "/api/findings/dismiss", "POST", **sent).json() == {
        "detail": "POST /api/findings/dismiss: needs the right to edit the Dag a_dag"
    }
    assert call(app, "/api/nothing").json() == {"detail": "there is no /api/nothing; openapi.json lists the paths"}
    wrong_method = call(app, "/api/runs", "DELETE")
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "GET")


def test_the_description_of_the_api_names_every_route_but_the_files() -> None:
    app = coverage_app(unreachable, everybody)
    described = set(call(app, "/openapi.json").json()["paths"])
    files = {"/", "/static/{name}", "/openapi.json"}
    assert described == {route.path for route in app.routes if isinstance(route, APIRoute)} - files


def test_every_route_describes_its_refusals() -> None:
    paths = call(coverage_app(unreachable, everybody), "/openapi.json").json()["paths"]
    described = {(path, method): set(one["responses"]) for path, of in paths.items() for method, one in of.items()}
    assert all(codes >= {"200", "401", "403", "503"} for codes in described.values())
    of_series = {path for (path, _), codes in described.items() if "404" in codes}
    names = ("series", "chart", "candles", "conditions", "explain")
    assert of_series == {f"/api/{name}/{{symbol}}/{{timeframe}}" for name in names}
    assert {method for (_, method), codes in described.items() if "409" in codes} == {"post"}


def test_the_pages_ask_only_for_files_of_this_app() -> None:
    html = (STATIC / "coverage.html").read_text()
    asked = re.findall(r"""(?:href|src)="(static/[^"]+)""", html) + re.findall(r'from "\./([^"]+)"', SCRIPTS)
    assert {one.removeprefix("static/") for one in asked} == ASSETS | VENDORED
    # One link for a person to follow is asked for by the chart library's licence.
    assert re.findall(r"https?://[^\s\"]*", "".join(file.read_text() for file in OURS if file.suffix != ".js")) == [
        "https://www.tradingview.com/"
    ]
    assert set(re.findall(r"https?://[^\s\"]*", SCRIPTS)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(", (STATIC / "coverage.css").read_text())


def test_the_page_may_run_nothing_but_its_own_script() -> None:
    answer = call(coverage_app(unreachable, everybody), "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?! src=)|<style|\son\w+=|style=", answer.text)


def test_what_comes_from_the_database_never_becomes_markup() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", SCRIPTS)


def test_a_vendored_library_is_what_its_record_says_and_has_its_licence() -> None:
    recorded = (STATIC / "vendored" / "README.md").read_text()
    for name in VENDORED:
        assert hashlib.sha256((STATIC / "vendored" / name).read_bytes()).hexdigest() in recorded
        assert f"{name.removesuffix('.js')}.LICENSE" in recorded
        assert (STATIC / "vendored" / f"{name.removesuffix('.js')}.LICENSE").is_file()
    assert VENDORED

"""The coverage page: three files and two read-only JSON endpoints, testable without Airflow."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from backfill.errors import BackfillError, ConfigurationError
from backfill.storage import coverage_page
from backfill.storage.database import Connection

STATIC = Path(__file__).parent / "static"
ASSETS = frozenset({"coverage.css", "coverage.js"})
MAX_SERIES = 10_000
MAX_RUNS = 50

# The page loads only its own files, and only Airflow may frame it.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

log = logging.getLogger(__name__)


def coverage_app(connect: Callable[[], Connection], guard: Callable[..., object]) -> FastAPI:
    """An app whose every route, the files included, first calls ``guard``, a FastAPI dependency that raises.

    ``connect`` opens a connection for each request; it is closed after the answer.
    """
    app = FastAPI(dependencies=[Depends(guard)], docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    def page() -> FileResponse:
        """The page itself."""
        return FileResponse(STATIC / "coverage.html")

    @app.get("/static/{name}")
    def asset(name: str) -> FileResponse:
        """One of the page's two files."""
        if name not in ASSETS:
            raise HTTPException(status_code=404)
        return FileResponse(STATIC / name)

    @app.get("/api/coverage")
    def coverage() -> dict[str, Any]:
        """The series, least covered first."""
        return _answer(connect, coverage_page.coverage, MAX_SERIES)

    @app.get("/api/runs")
    def runs() -> dict[str, Any]:
        """The newest runs."""
        return _answer(connect, coverage_page.recent_runs, MAX_RUNS)

    @app.middleware("http")
    async def add_headers(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        """Add the security headers to every answer."""
        response = await proceed(request)
        response.headers.update(HEADERS)
        return response

    @app.exception_handler(BackfillError)
    def say_what_is_wrong(_request: Request, error: BackfillError) -> JSONResponse:
        """Answer 503 with a message for the page."""
        log.warning("the coverage page has no answer: %s", error)
        # Database errors name hosts and users: log those, show the class's docstring.
        shown = str(error) if isinstance(error, ConfigurationError) else type(error).__doc__
        return JSONResponse({"error": shown}, status_code=503)

    return app


def _answer(
    connect: Callable[[], Connection], read: Callable[[Connection, int], list[dict[str, Any]]], max_rows: int
) -> dict[str, Any]:
    """The rows that ``read`` returns, and when they were read."""
    with connect() as connection:
        rows = read(connection, max_rows)
    return {"rows": rows, "read_at": datetime.now(timezone.utc)}

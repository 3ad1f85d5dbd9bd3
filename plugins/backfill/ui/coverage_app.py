"""The pages: files, read-only API and decisions, testable without Airflow."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from backfill.errors import BackfillError, ConfigurationError
from backfill.ui import api, decisions
from backfill.ui.answers import Problem, Rights, Unavailable
from backfill.ui.api import Pages
from backfill.ui.refusals import in_words

STATIC = Path(__file__).parent / "static"
# A name with a version never changes its content.
VENDORED = frozenset(file.name for file in (STATIC / "vendored").glob("*.js"))
ASSETS = frozenset(file.name for file in STATIC.iterdir() if file.suffix in (".css", ".js"))

# The page loads only its own files, and only Airflow may frame it. The chart library sets styles by script, which needs
# no permission, but may not add style sheets.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

log = logging.getLogger(__name__)


def refuse() -> None:
    """The guard of what no one may do."""
    raise HTTPException(403, "decisions are not open here")


def no_rights() -> Rights:
    """What a caller may do where no one decides."""
    return Rights(may_fill=False, may_decide=False)


def coverage_app(
    pages: Pages,
    guard: Callable[..., object],
    *,
    deciding: Callable[..., object] = refuse,
    rights: Callable[..., object] = no_rights,
    guarded_as: str = "candles_fill_gaps",
) -> FastAPI:
    """An app whose every route, files included, first calls ``guard``, a FastAPI dependency that raises.

    ``deciding`` also guards the routes that write; ``rights`` returns what the caller may do. ``guarded_as``: the Dag
    that refusals name.
    """
    app = FastAPI(
        title="Candle keeper",
        dependencies=[Depends(guard)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses={
            401: {"model": Problem, "description": "Not signed in"},
            403: {"model": Problem, "description": "Not allowed"},
            503: {"model": Unavailable, "description": "Postgres does not answer, or a setting must be mended"},
        },
    )
    app.state.pages = pages

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        """The page itself."""
        return FileResponse(STATIC / "coverage.html")

    @app.get("/static/{name}", include_in_schema=False)
    def asset(name: str) -> FileResponse:
        """One of the page's files."""
        if name in VENDORED:
            return FileResponse(
                STATIC / "vendored" / name, headers={"Cache-Control": "private, max-age=31536000, immutable"}
            )
        if name not in ASSETS:
            raise HTTPException(404)
        return FileResponse(STATIC / name)

    @app.get("/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> dict[str, Any]:
        """The description of the API."""
        return {**app.openapi(), "servers": [{"url": request.scope.get("root_path", "")}]}

    @app.get("/api/rights")
    def my_rights(found: object = Depends(rights)) -> Rights:
        """What the signed-in user may do besides looking."""
        return Rights.model_validate(found)

    app.include_router(api.router)
    app.include_router(decisions.router, dependencies=[Depends(deciding)])

    @app.middleware("http")
    async def add_headers(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        """Add the security headers to every answer."""
        response = await proceed(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    _answer_faults(app, guarded_as)
    return app


def _answer_faults(app: FastAPI, guarded_as: str) -> None:
    @app.exception_handler(AnyHTTPException)
    def refuse_in_words(request: Request, error: AnyHTTPException) -> JSONResponse:
        """Name what is refused, and what is lacking."""
        return in_words(request, error, guarded_as)

    @app.exception_handler(BackfillError)
    def say_what_is_wrong(_request: Request, error: BackfillError) -> JSONResponse:
        """Answer 503 with a message for the page."""
        log.warning("the pages have no answer: %s", error)
        # Database errors name hosts and users: log those, show the class's docstring.
        shown = str(error) if isinstance(error, ConfigurationError) else type(error).__doc__
        return JSONResponse({"error": shown}, status_code=503)

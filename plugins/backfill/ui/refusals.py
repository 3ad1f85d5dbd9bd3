"""Refusals that name the fault: a misspelt parameter, an unknown path, a missing right."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from http import HTTPStatus

from fastapi import HTTPException, Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
# Airflow's words that say no more than the code.
BARE = (*(code.phrase for code in HTTPStatus), "Not authenticated")


def refuse_unknown_parameters(request: Request) -> None:
    """Raise 422 for a parameter that the route lacks: if ignored, ``?symbl=BTC-USDT`` would return all."""
    known = sorted(set(_query_names(request.scope["route"].dependant)))
    wrong = [name for name in request.query_params if name not in known]
    if wrong:
        raise HTTPException(422, [_unknown(name, known) for name in dict.fromkeys(wrong)])


def wrong_value(name: str, message: str) -> HTTPException:
    """As FastAPI refuses a value itself."""
    return HTTPException(422, [{"type": "value_error", "loc": ["query", name], "msg": message}])


def in_words(request: Request, error: AnyHTTPException, guarded_as: str) -> JSONResponse:
    """The refusal, with our words where it has only its code's.

    ``guarded_as``: the Dag whose rights count.
    """
    detail = error.detail
    if detail in BARE:
        detail = _reason(request, error.status_code, guarded_as) or detail
    return JSONResponse({"detail": detail}, status_code=error.status_code, headers=error.headers)


def _reason(request: Request, code: int, guarded_as: str) -> str | None:
    asked = f"{request.method} {request.url.path}"
    if code == UNAUTHORIZED:
        return f"{asked}: sign in to Airflow, or send `Authorization: Bearer` with a token of /auth/token"
    if code == FORBIDDEN:
        right = "see the runs of" if request.method in ("GET", "HEAD") else "edit"
        return f"{asked}: needs the right to {right} the Dag {guarded_as}"
    if code == NOT_FOUND:
        return f"there is no {request.url.path}; openapi.json lists the paths"
    return None


def _query_names(of: Dependant) -> Iterator[str]:
    yield from (field.alias for field in of.query_params)
    for one in of.dependencies:
        yield from _query_names(one)


def _unknown(name: str, known: list[str]) -> dict[str, object]:
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(known) or 'none'}"
    return {"type": "extra_forbidden", "loc": ["query", name], "msg": f"no such parameter; {meant}"}

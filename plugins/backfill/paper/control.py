"""Paths of a paper exchange for the test or demo that runs it; neither counted nor limited.

A foreign Host or Origin is refused.

GET    /paper/stats           request counts: see Counts
POST   /paper/stats/reset
GET    /paper/market          what is served: see PaperMarket.describe
POST   /paper/limits/reset    forget all requests, lift all suspensions
POST   /paper/suspend?status=403&seconds=300    refuse everyone for a while
GET    /paper/faults          all faults, and those that are on
POST   /paper/faults/NAME     switch one on: ?seconds= &requests= &path= &symbol= &timeframe= &opens_ms=1,2,3
                              &after= &probability= &seed= &contains_ms= &then=NAME
                              page faults also: &rows= &share= &by=-400d &keep=oldest &value=nan &other=ETH-USDT
                              ("+" is a blank in a query: by=1h and by=%2B1h are the same)
DELETE /paper/faults/NAME     switch it off; without a name, all
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from backfill.errors import ConfigurationError
from backfill.paper.faults import FAULTS

if TYPE_CHECKING:
    from backfill.paper.server import PaperExchange

CONTROL = "/paper/"

Endpoint = Callable[[Request], Awaitable[Response]]


def control_routes(exchange: PaperExchange) -> list[Route]:
    """The control paths of ``exchange``."""

    def telling(content: Callable[[], Mapping[str, object]]) -> Endpoint:
        """An endpoint that returns ``content`` as JSON."""

        async def endpoint(_: Request) -> Response:
            return JSONResponse(content())

        return endpoint

    def doing(action: Callable[[Request], object]) -> Endpoint:
        """An endpoint that runs ``action``: 204, or 400 with the error."""

        async def endpoint(request: Request) -> Response:
            try:
                action(request)
            except (ConfigurationError, ValueError) as error:
                return PlainTextResponse(f"{error}\n", 400)
            return Response(status_code=204)

        return endpoint

    def suspend(request: Request) -> None:
        """Refuse everyone; by default 403 for 300 s."""
        asked = request.query_params
        exchange.suspend(int(asked.get("status", 403)), float(asked.get("seconds", 300)))

    def faults() -> Mapping[str, object]:
        """All known faults and those that are on."""
        return {"known": FAULTS, "on": [one.as_dict() for one in exchange.faults.are_on()]}

    return [
        Route("/paper/stats", telling(lambda: exchange.requests.as_dict())),
        Route("/paper/stats/reset", doing(lambda _: exchange.reset_counts()), methods=["POST"]),
        Route("/paper/market", telling(lambda: exchange.market.describe())),
        Route("/paper/limits/reset", doing(lambda _: exchange.reset_limits()), methods=["POST"]),
        Route("/paper/suspend", doing(suspend), methods=["POST"]),
        Route("/paper/faults", telling(faults), methods=["GET"]),
        Route("/paper/faults", doing(lambda _: exchange.faults.off()), methods=["DELETE"]),
        Route(
            "/paper/faults/{name}",
            doing(lambda r: exchange.faults.on(r.path_params["name"], **_narrowing(r))),
            methods=["POST"],
        ),
        Route("/paper/faults/{name}", doing(lambda r: exchange.faults.off(r.path_params["name"])), methods=["DELETE"]),
    ]


_PARAMETERS: dict[str, Callable[[str], object]] = {
    "seconds": float,
    "requests": int,
    "path": str,
    "symbol": str,
    "timeframe": str,
    **dict.fromkeys(("after", "seed", "contains_ms", "rows"), int),
    **dict.fromkeys(("probability", "share"), float),
    **dict.fromkeys(("then", "by", "keep", "value", "other"), str),
    "opens_ms": lambda text: [int(open_ms) for open_ms in text.split(",")],
}


def _narrowing(request: Request) -> dict[str, Any]:
    unknown = set(request.query_params) - set(_PARAMETERS)
    if unknown:
        raise ConfigurationError(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(_PARAMETERS)}")
    return {name: _PARAMETERS[name](text) for name, text in request.query_params.items()}

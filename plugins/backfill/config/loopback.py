"""Refuses what a browser sends to our local ports on behalf of another site.

Any page may send requests to 127.0.0.1, and by DNS rebinding under a name of its own. So a request's Host, and its
Origin if any, must be loopback names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
# Set to 1 for the local stack's Airflow, so that its API server takes requests under these names only.
LOOPBACK_ONLY = "CANDLE_KEEPER_LOOPBACK_ONLY"

AsgiMessage = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[AsgiMessage]]
AsgiSend = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp = Callable[[AsgiMessage, AsgiReceive, AsgiSend], Awaitable[None]]


def refusal(host: str | None, origin: str | None) -> str | None:
    """Why a request with these headers is refused, or None."""
    if not host or _name("//" + host) not in LOOPBACK_NAMES:
        return f"the Host header must be one of {', '.join(sorted(LOOPBACK_NAMES))}"
    if origin is not None and _name(origin) not in LOOPBACK_NAMES:
        return "requests from other sites are refused"
    return None


class LoopbackOnly:
    """ASGI middleware: 403 for a foreign Host or Origin under ``prefix``."""

    def __init__(self, app: AsgiApp, prefix: str = "/") -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        reason = None
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(self.prefix):
            reason = refusal(_header(scope["headers"], b"host"), _header(scope["headers"], b"origin"))
        if reason is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            plain = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": plain})
            await send({"type": "http.response.body", "body": f"{reason}\n".encode()})


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The header's value; of several, a refused one."""
    values = [value.decode("latin-1") for key, value in headers if key.lower() == name]
    return values[0] if len(values) == 1 else "," if values else None


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None

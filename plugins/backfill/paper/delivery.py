"""How an answer is sent: whole, or broken by a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

DRIP_EVERY_S = 0.5
LOOK_EVERY_S = 0.05


async def deliver(
    response: Response, fault: str | None, is_on: Callable[[], bool], scope: Scope, receive: Receive, send: Send
) -> None:
    """Send ``response`` broken by the named fault (see faults.py), and whole once ``is_on`` is False."""
    connection = _connection(receive)
    if fault == "closed":
        await _close(connection, receive)
    elif fault == "cut":
        await _send(response, response.body[: len(response.body) // 2], send)
        await _close(connection, receive)
    elif fault == "dripping":
        await _drip(response, is_on, connection, send)
    else:
        while fault == "hanging" and is_on() and not connection.is_closing():
            await asyncio.sleep(LOOK_EVERY_S)
        await response(scope, receive, send)


async def _drip(response: Response, is_on: Callable[[], bool], connection: asyncio.Transport, send: Send) -> None:
    body = bytes(response.body)
    await _send(response, b"", send)
    sent = 0
    while sent < len(body) and is_on() and not connection.is_closing():
        await send({"type": "http.response.body", "body": body[sent : sent + 1], "more_body": True})
        sent += 1
        for _ in range(round(DRIP_EVERY_S / LOOK_EVERY_S)):
            if is_on():
                await asyncio.sleep(LOOK_EVERY_S)
    await send({"type": "http.response.body", "body": body[sent:], "more_body": False})


async def _send(response: Response, beginning: bytes | memoryview, send: Send) -> None:
    """Send the head and the beginning of the body."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": bytes(beginning), "more_body": True})


async def _close(connection: asyncio.Transport, receive: Receive) -> None:
    """Hang up and wait until the server notices, which then sends nothing."""
    connection.close()
    while (await receive())["type"] != "http.disconnect":
        pass


def _connection(receive: Receive) -> asyncio.Transport:
    """ASGI hides the connection; uvicorn's ``receive`` is a method of its holder."""
    held_by: Any = receive
    transport: asyncio.Transport = held_by.__self__.transport
    return transport

"""The pages over a test's own database, at a fixed moment."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI

from backfill.domain.timeframes import utc
from backfill.storage.database import connect
from backfill.ui.api import Pages
from backfill.ui.coverage_app import coverage_app
from integration.helpers import NOW_MS


def pages_of(database_uri: str, now_ms: int = NOW_MS) -> FastAPI:
    """The app as one who may do everything sees it."""
    return coverage_app(
        Pages(lambda: connect(database_uri), clock=lambda: utc(now_ms)), lambda: None, deciding=lambda: None
    )


def call(app: FastAPI, path: str, *, method: str = "GET", body: Any = None, **query: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, path, params=query, json=body, headers={"X-Candles": "decide"})

    return asyncio.run(ask())


def answer(app: FastAPI, path: str, **query: Any) -> Any:
    """The JSON of a successful GET."""
    got = call(app, path, **query)
    assert got.status_code == 200, got.text
    return got.json()

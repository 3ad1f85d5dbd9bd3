"""Exchanges without HTTP: a transport for `requests` that asks a paper exchange in this thread."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from contextlib import suppress
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from starlette.requests import Request

from backfill.paper.faults import ANSWERS, DELIVERIES
from backfill.paper.server import PaperExchange

if TYPE_CHECKING:
    from simulation.world import World

# Ways in which an answer fails as a whole, and ways in which a page of it is damaged.
REQUEST_FAULTS = (*DELIVERIES, *ANSWERS)
# How long a client may not ask after it.
BANS_S = {"limited": 0, "limited_7s": 7, "banned": 120, "firewall": 60}
_ADAPTER = HTTPAdapter()


class SimNetwork(BaseAdapter):
    """Every request of every client goes through here."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.exchanges: dict[str, PaperExchange] = {}
        self.requests: defaultdict[str, int] = defaultdict(int)
        self.banned_until_ms: defaultdict[str, int] = defaultdict(int)
        self.broken_bans: list[str] = []

    @property
    def asked(self) -> int:
        """Requests so far."""
        return sum(self.requests.values())

    @property
    def spoiled(self) -> int:
        """Of these, those whose answer the world has withheld or damaged."""
        return sum(one.requests.by_fault.total() for one in self.exchanges.values())

    def close(self) -> None:
        """Nothing is open."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """One answer, or the way in which it fails."""
        world, url = self.world, urlsplit(str(request.url))
        name = str(url.hostname).partition(".")[0]
        world.step(f"GET {name} {url.path}?{url.query}")
        self.requests[name] += 1
        if world.clock.now_ms < self.banned_until_ms[name]:
            self.broken_bans.append(f"{name} {url.path} at {world.clock.now_ms}")
        world.clock.advance(world.dice.randint(5, 80))
        exchange = self.exchanges[name]
        fault = world.request_fault()
        if fault is not None:
            exchange.faults.on(fault, requests=1)
        if damage := world.page_damage():
            exchange.faults.on(damage[0], requests=1, seed=world.dice.randrange(1 << 30), **damage[1])
        scope = {
            "type": "http",
            "method": request.method,
            "path": url.path,
            "query_string": url.query.encode(),
            "headers": [],
            "client": ("127.0.0.1", 1),
        }
        response, befallen = exchange._respond(Request(scope))
        exchange.faults.off()
        world.saw(f"  {response.status_code} {befallen.name if befallen else ''}")
        if befallen is not None and befallen.name in DELIVERIES:
            raise self._undelivered(befallen.name)
        if befallen is not None and befallen.name in BANS_S:
            self.banned_until_ms[name] = world.clock.now_ms + 1000 * BANS_S[befallen.name]
        if name == "blofin" and response.status_code == 200 and url.path.endswith("/candles"):
            self._note_served(dict(parse_qsl(url.query)), bytes(response.body))
        headers = {key.decode().title(): value.decode() for key, value in response.raw_headers}
        headers["Date"] = formatdate(exchange.clock() / 1000, usegmt=True)
        raw = urllib3.HTTPResponse(
            io.BytesIO(bytes(response.body)), headers, response.status_code, preload_content=False
        )
        return _ADAPTER.build_response(request, raw)

    def _undelivered(self, fault: str) -> Exception:
        clock = self.world.clock
        if fault == "closed":
            return requests.ConnectionError("Connection aborted")
        if fault == "cut":
            clock.advance(50)
            return requests.exceptions.ChunkedEncodingError("Connection broken: IncompleteRead")
        clock.advance(10_000)
        return requests.ReadTimeout("Read timed out")

    def _note_served(self, query: dict[str, str], body: bytes) -> None:
        """Whatever the exchange has said of a bar may be stored; what it has not said was invented."""
        try:
            rows = json.loads(body)["data"]
        except (ValueError, KeyError, TypeError):
            return
        series = (query["instId"], query["bar"].lower())
        for row in rows:
            with suppress(TypeError, ValueError):
                self.world.served.add((*series, int(row[0]), *map(float, row[1:5])))

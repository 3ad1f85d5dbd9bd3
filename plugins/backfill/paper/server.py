"""A paper exchange over HTTP, on 127.0.0.1 only."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backfill.config.loopback import LoopbackOnly
from backfill.errors import ConfigurationError
from backfill.paper.blofin_protocol import BlofinProtocol
from backfill.paper.control import CONTROL, control_routes
from backfill.paper.delivery import deliver
from backfill.paper.faults import ANSWERS
from backfill.paper.limits import Doorkeeper, HouseRules
from backfill.paper.market import PaperMarket
from backfill.paper.page_faults import Question, damaged_page, sound_page
from backfill.paper.protocol import Answer, ExchangeProtocol, Query
from backfill.paper.switchboard import Clock, Switchboard, Switched

HOST = "127.0.0.1"
BACKLOG = 2048


def wall_clock_ms() -> int:
    """The computer's time in epoch ms."""
    return time.time_ns() // 1_000_000


@dataclass
class Counts:
    """Requests since the last reset: all, their weight, refused, admitted by path, our symbol and fault."""

    total: int = 0
    weight: int = 0
    refused: int = 0
    by_route: Counter[str] = field(default_factory=Counter)
    by_symbol: Counter[str] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, object]:
        """The counts by name."""
        return dict(vars(self))


class PaperExchange:
    """One exchange over one market: an ASGI application, and a context manager that serves it from a thread.

        with PaperExchange(SyntheticMarket()) as exchange:
            requests.get(exchange.url + "/api/v1/market/instruments")

    ``clock`` gives epoch ms for running bars, limits and the Date header. ``limits`` replace the protocol's own.
    ``latency_ms`` is waited before each answer. ``faults`` switches faults on: see :class:`Switchboard`. Port 0 takes a
    free one. The thread shares the interpreter: for measurements, run ``python -m backfill.paper``.
    """

    def __init__(
        self,
        market: PaperMarket,
        protocol: ExchangeProtocol | None = None,
        *,
        limits: HouseRules | None = None,
        clock: Clock = wall_clock_ms,
        latency_ms: float = 0.0,
        port: int = 0,
    ) -> None:
        self.market = market
        self.protocol = protocol or BlofinProtocol()
        self.clock = clock
        self.latency_ms = latency_ms
        self.port = port
        self.requests = Counts()
        self.faults = Switchboard(clock)
        self.doorkeeper = Doorkeeper(self.protocol.house_rules if limits is None else limits)
        self.app: ASGIApp = _dated(LoopbackOnly(self._application(), CONTROL), clock)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://{HOST}:{self.port}"

    def suspend(self, status: int, seconds: float) -> None:
        """Refuse every address: 403 as a firewall, 429 as a rate limit."""
        self.doorkeeper.suspend_everyone(status, self.clock() + round(1000 * seconds))

    def reset_limits(self) -> None:
        """Forget counted requests and lift all suspensions."""
        self.doorkeeper.reset()

    def reset_counts(self) -> None:
        """Set all request counts to zero."""
        self.requests = Counts()

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        response, fault = self._respond(Request(scope))
        if self.latency_ms:
            await asyncio.sleep(self.latency_ms / 1000)
        if fault is None:
            await response(scope, receive, send)
        else:
            await deliver(response, fault.name, lambda: self._befalls(fault), scope, receive, send)

    def _respond(self, request: Request) -> tuple[Response, Switched | None]:
        now_ms = self.clock()
        path, query = request.url.path, self._query(request)
        address = request.client.host if request.client else ""
        self.requests.total += 1
        weight = self.protocol.weight(path, query)
        self.requests.weight += weight
        refused = self.doorkeeper.refusal(address, now_ms, path, weight)
        fault = None
        if refused is not None:
            self.requests.refused += 1
            answer = self.protocol.refusal(refused, now_ms)
        else:
            self.requests.by_route[path] += 1
            market = self.faults.seen(self.market)
            answer = self.protocol.answer(market, request.method, path, query, now_ms)
            if answer.symbol is not None:
                self.requests.by_symbol[answer.symbol] += 1
            fault = self.faults.befalling(path, answer.symbol)
            if fault is None or fault.name not in ANSWERS:
                answer = self._with_page_faults(market, answer, path, query, now_ms)
        if fault is not None:
            self.requests.by_fault[fault.name] += 1
            if fault.name in ANSWERS:
                answer = ANSWERS[fault.name](self.protocol, answer)
        usage = self.protocol.usage_headers(path, self.doorkeeper.used(address, path, now_ms))
        return Response(answer.body, answer.status, {**usage, **answer.headers}, answer.media_type), fault

    def _query(self, request: Request) -> Query:
        """The query, with the headers that the protocol reads under their names and a colon."""
        read: tuple[str, ...] = getattr(self.protocol, "read_headers", ())
        if not read:
            return request.query_params
        return {**request.query_params, **{f"{name}:": request.headers.get(name, "") for name in read}}

    def _with_page_faults(self, market: PaperMarket, answer: Answer, path: str, query: Query, now_ms: int) -> Answer:
        if not self.faults.has_page_faults():
            return answer
        page = sound_page(Question(self.protocol, market, path, query, now_ms), answer)
        damages = [] if page is None else self.faults.befalling_page(page)
        if page is None or not damages:
            return answer
        self.requests.by_fault.update(damage.name for damage, _ in damages)
        return damaged_page(page, damages).answer()

    def _befalls(self, fault: Switched) -> bool:
        is_stopping = self._server is not None and self._server.should_exit
        return self.faults.is_on(fault) and not is_stopping

    def _application(self) -> Starlette:
        return Starlette(routes=[*control_routes(self), Mount("/", self._exchange)])

    def server(self) -> tuple[uvicorn.Server, socket.socket]:
        """A server for :attr:`app` and its listening socket, with a known port."""
        # IPPROTO_TCP makes asyncio set TCP_NODELAY; else short answers wait 40 ms for the client's ACK.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, self.port))
            listener.listen(BACKLOG)  # early connections wait for the server
        except OSError as taken:
            listener.close()
            raise ConfigurationError(f"paper exchange: port {self.port} cannot be had: {taken}") from taken
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self.app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            date_header=False,  # see _dated
            server_header=False,
            proxy_headers=False,  # limits go by the true address
        )
        self._server = uvicorn.Server(config)
        return self._server, listener

    def start(self) -> PaperExchange:
        """Serve from a thread; on the same port again after a stop."""
        server, listener = self.server()
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name=f"paper exchange {self.port}", daemon=True
        )
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the paper exchange's server has ended before it began; see the log")
            time.sleep(0.002)
        self._thread = thread
        return self

    def stop(self) -> None:
        """Close the port and end the thread."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None

    def __enter__(self) -> PaperExchange:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve_together(servers: Sequence[tuple[uvicorn.Server, socket.socket]]) -> None:
    """Run the results of :meth:`PaperExchange.server` in this thread until a signal."""

    async def side_by_side() -> None:
        await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in servers))

    asyncio.run(side_by_side())


def _dated(app: ASGIApp, clock: Clock) -> ASGIApp:
    """``app`` with our clock's Date header."""

    async def dated(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(clock() / 1000, usegmt=True).encode()
                message["headers"] = [*message["headers"], (b"date", date)]
            await send(message)

        await app(scope, receive, send_dated)

    return dated

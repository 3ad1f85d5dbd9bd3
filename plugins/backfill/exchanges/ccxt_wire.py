"""Between ccxt and the network: one turn in the rate budget per request, checks of each raw answer.

ccxt 4.5.90 reads an HTML page as an empty list and a geo-block as a rate limit. Our exceptions pass through it.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests.adapters import BaseAdapter
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from backfill.domain.venues import Venue
from backfill.errors import (
    BadPayload,
    ExchangeError,
    ExchangeUnreachable,
    GeoBlocked,
    RateLimited,
    RequestRefused,
    SymbolNotListed,
)
from backfill.exchanges.http_answers import (
    json_of,
    read_until,
    reason,
    retry_after_s,
    server_ms,
    status_error,
    weight_is_used_up,
)

# Binance's spot markets take some 15 MB.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
TRIES = 3


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """The last answer: JSON, the exchange's clock in ms (None: unknown), latency."""

    status: int
    document: Any
    server_ms: int | None
    latency_ms: float


class CcxtWire(BaseAdapter):
    """A transport for ccxt's session; thread-safe.

    ``before_request``, the rate budget, may sleep or raise. ``on_ban`` gets every :class:`RateLimited`. ``only_to``:
    the only address allowed.
    """

    def __init__(
        self,
        venue: Venue,
        transport: BaseAdapter,
        *,
        only_to: str | None,
        before_request: Callable[[], None],
        on_ban: Callable[[RateLimited], None],
        timeout_s: float,
        sleep: Callable[[float], None],
        tries: int = TRIES,
    ) -> None:
        super().__init__()
        self.requests_made = 0
        self._venue = venue
        self._transport = transport
        self._only_to = only_to
        self._before_request = before_request
        self._on_ban = on_ban
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._tries = tries
        self._of_thread = threading.local()

    @property
    def last_answer(self) -> WireAnswer | None:
        """This thread's last answer."""
        return getattr(self._of_thread, "answer", None)

    def forget(self) -> None:
        """Drop this thread's last answer."""
        self._of_thread.answer = None

    def close(self) -> None:
        """Close the transport's connections."""
        self._transport.close()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Each try takes a turn in the budget."""
        if self._only_to is not None and not str(request.url).startswith(f"{self._only_to}/"):
            raise RequestRefused(self._venue.source, f"{request.url} is not at {self._only_to}, and was not asked")
        retrying = Retrying(
            retry=retry_if_exception_type((ExchangeUnreachable, BadPayload)),
            stop=stop_after_attempt(self._tries),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._ask_in_turn, request, {"verify": verify, "cert": cert, "proxies": proxies})

    def _ask_in_turn(self, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        self._before_request()
        self.requests_made += 1
        try:
            return self._ask_once(request, options)
        except RateLimited as error:
            self._on_ban(error)
            raise

    def _ask_once(self, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        began = time.monotonic()
        where = urlsplit(str(request.url)).path
        try:
            with self._transport.send(request, stream=True, timeout=self._timeout_s, **options) as response:
                body = self._body(response, began + 3 * self._timeout_s)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ExchangeUnreachable(self._venue.source, f"{where}: {reason(error)}") from error
        latency_ms = (time.monotonic() - began) * 1000
        document = self._document(response, body, where)
        self._of_thread.answer = WireAnswer(response.status_code, document, server_ms(response), latency_ms)
        if self._venue.used_weight and (
            used_up := weight_is_used_up(self._venue.source, response, self._venue.used_weight)
        ):
            self._on_ban(used_up)  # the answer itself is good
        return _whole(response, body)

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        """Of an error status what arrived: a ban cut short is still a ban."""
        try:
            return read_until(response, deadline, MAX_ANSWER_BYTES)
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            if response.status_code < 400:
                raise
            return b""

    def _document(self, response: requests.Response, body: bytes, where: str) -> Any:
        source, status = self._venue.source, response.status_code
        if refusal := status_error(source, response, where, self._venue.rules, body):
            raise refusal
        if 300 <= status < 400:
            raise BadPayload(source, f"{where}: sent on to {response.headers.get('Location', 'nowhere')!r:.100}")
        try:
            document = json_of(source, body, where)
        except BadPayload as error:
            if status < 300:
                raise
            raise RequestRefused(source, f"{where}: HTTP {status} {body[:100]!r}") from error
        if not isinstance(document, dict) and (self._venue.rows_at or not isinstance(document, list)):
            raise BadPayload(source, f"{where}: not what it answers with: {body[:60]!r}")
        if refusal := self._refusal_told(response, document, where):
            raise refusal
        return document

    def _refusal_told(self, response: requests.Response, document: Any, where: str) -> ExchangeError | None:
        venue = self._venue
        codes = _codes(document)
        if codes & venue.rate_codes:
            wait_s = retry_after_s(response, venue.rules, venue.rules.rate_limit_s)
            return RateLimited(venue.source, f"{where}: {_told(document)}", wait_s)
        if codes & venue.geo_codes:
            return GeoBlocked(venue.source, f"{where}: {_told(document)}")
        if codes & venue.unlisted_codes:
            return SymbolNotListed(venue.source, where, _told(document))
        if codes & venue.outage_codes:
            return ExchangeUnreachable(venue.source, f"{where}: {_told(document)}")
        return None


def _codes(document: Any) -> set[str]:
    """`code` of most, `retCode` of Bybit, `label` of Gate, `error` of Kraken."""
    if not isinstance(document, dict):
        return set()
    codes = [document.get(key) for key in ("code", "retCode", "label")]
    if isinstance(document.get("error"), list):
        codes += document["error"]
    return {str(code) for code in codes if isinstance(code, (str, int))}


def _told(document: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value!r:.100}" for key, value in document.items() if value and not isinstance(value, dict)
    )


def _whole(response: requests.Response, body: bytes) -> requests.Response:
    whole = requests.Response()
    whole.status_code = response.status_code
    whole.reason = response.reason
    whole.headers = response.headers
    whole.url = response.url
    whole.request = response.request
    whole.encoding = "utf-8"
    whole.raw = io.BytesIO(body)
    return whole

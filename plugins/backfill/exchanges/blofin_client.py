"""Blofin's public REST API: its own names in, what it answered out, its errors in our words.

Facts are from Blofin's API documentation (index.md at commit e3600b7, 2026-03-21) unless said otherwise.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import requests
import urllib3.exceptions
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from backfill.errors import (
    AddressBanned,
    BadPayload,
    ExchangeError,
    ExchangeUnreachable,
    GeoBlocked,
    RateLimited,
    RequestRefused,
    SymbolNotListed,
)

SOURCE = "blofin"
BASE_URL = "https://openapi.blofin.com"
# "limit: max 1440, default 500" ("Get Candlesticks").
ROWS_PER_PAGE = 1440
# "500 requests per minute ... suspended for 5 minutes; 1500 requests per 5 minutes ... 1 hour" ("Rate Limits").
LIMITS_PER_PERIOD_S = ((500, 60), (1500, 300))
SUSPENSION_S = 300
# Spelled in upper case from the hour on; 1m is a minute, 1M would be a month.
BARS = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H",
    "6h": "6H", "8h": "8H", "12h": "12H", "1d": "1D", "1w": "1W",
}  # fmt: skip
# A page of 1440 rows is 150 kB; a firewall's or captive portal's page is never this large.
MAX_ANSWER_BYTES = 8 * 1024 * 1024
# A Retry-After beyond this is no answer to a rate limit whose longest suspension is an hour.
LONGEST_RETRY_AFTER_S = 24 * 3600
TRIES = 3


class BlofinAnswer(NamedTuple):
    """The ``data`` of one answer, the exchange's clock at that time (None: not told), and how long it took."""

    data: list[Any]
    server_ms: int | None
    latency_ms: float


class BlofinClient:
    """Asks Blofin. Safe to share between threads.

    ``before_request`` is called before every request and may sleep or raise: the rate budget.
    ``on_ban`` is told of every :class:`RateLimited` that Blofin has answered, so that all other processes pause too.
    """

    def __init__(
        self,
        session: requests.Session,
        base_url: str = BASE_URL,
        *,
        before_request: Callable[[], None] = lambda: None,
        on_ban: Callable[[RateLimited], None] = lambda _: None,
        timeout_s: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.requests_made = 0
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._before_request = before_request
        self._on_ban = on_ban
        self._timeout_s = timeout_s
        self._sleep = sleep

    def candles(self, inst_id: str, bar: str, after_ms: int, limit: int = ROWS_PER_PAGE) -> BlofinAnswer:
        """Up to ``limit`` rows that open before ``after_ms``, newest first, as Blofin spells them.

        ``after`` means older than, and is exclusive. Rows are nine strings: open time in ms, open, high, low,
        close, contracts, base volume, quote volume, ``confirm`` ("1" closed, "0" forming).
        """
        return self._get(
            "/api/v1/market/candles",
            {"instId": inst_id, "bar": bar, "after": str(after_ms), "limit": str(limit)},
        )

    def instruments(self) -> BlofinAnswer:
        """Every open contract; delisted ones are not told."""
        return self._get("/api/v1/market/instruments", {})

    def _get(self, path: str, params: dict[str, str]) -> BlofinAnswer:
        """One question, repeated while the exchange is only unwell; each try takes its turn in the budget."""
        retrying = Retrying(
            retry=retry_if_exception_type((ExchangeUnreachable, BadPayload)),
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._ask_in_turn, path, params)

    def _ask_in_turn(self, path: str, params: dict[str, str]) -> BlofinAnswer:
        self._before_request()
        self.requests_made += 1
        try:
            return self._ask_once(path, params)
        except RateLimited as error:
            self._on_ban(error)
            raise

    def _ask_once(self, path: str, params: dict[str, str]) -> BlofinAnswer:
        began = time.monotonic()
        try:
            with self._session.get(
                self._base_url + path, params=params, timeout=self._timeout_s, stream=True
            ) as response:
                _raise_for_http_status(response, path)  # a ban is a ban, whether or not its page comes through
                body = _read_until(response, began + 3 * self._timeout_s)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ExchangeUnreachable(SOURCE, f"{path}: {_reason(error)}") from error
        latency_ms = (time.monotonic() - began) * 1000
        return BlofinAnswer(_data(body, path, params), _server_ms(response), latency_ms)


def _read_until(response: requests.Response, deadline: float) -> bytes:
    """The whole body, taken as it arrives: requests' own timeout is per read and never ends a slow drip."""
    body = bytearray()
    while chunk := response.raw.read1(64 * 1024, decode_content=True):
        body += chunk
        if time.monotonic() > deadline or len(body) > MAX_ANSWER_BYTES:
            raise requests.Timeout(f"answer not complete after {len(body)} bytes")
    return bytes(body)


def _raise_for_http_status(response: requests.Response, path: str) -> None:
    """Blofin answers errors with status 200; only its rate limit and its firewall use others."""
    status = response.status_code
    if status == 429:
        raise RateLimited(SOURCE, "too many requests", _retry_after_s(response))
    if status == 403:
        # "Network Firewall Restrictions": usually too many requests, a five-minute ban, longer if repeated.
        raise AddressBanned(SOURCE, "the firewall has banned our address", _retry_after_s(response))
    if status == 451:
        raise GeoBlocked(SOURCE, "not served in this country (HTTP 451)")
    if status >= 500:
        raise ExchangeUnreachable(SOURCE, f"{path}: HTTP {status}")
    if status != 200:
        raise RequestRefused(SOURCE, f"{path}: HTTP {status}")


def _data(body: bytes, path: str, params: dict[str, str]) -> list[Any]:
    try:
        envelope = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadPayload(SOURCE, f"{path}: not JSON but {body[:60]!r}") from error
    if not isinstance(envelope, dict) or not isinstance(envelope.get("code"), (str, int)):
        raise BadPayload(SOURCE, f"{path}: no envelope with a code: {body[:60]!r}")
    code, message = str(envelope["code"]), str(envelope.get("msg", ""))
    if code != "0":
        raise _named_error(code, message, path, params)
    data = envelope.get("data")
    if not isinstance(data, list):
        raise BadPayload(SOURCE, f"{path}: data is {type(data).__name__}, not a list")
    return data


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON, though Python would read it")


def _named_error(code: str, message: str, path: str, params: dict[str, str]) -> ExchangeError:
    """The error that Blofin means by ``code`` ("Error Code")."""
    told = f"{path}: code {code} {message!r}"
    if code == "429":
        return RateLimited(SOURCE, told, SUSPENSION_S)
    if code == "500":
        return ExchangeUnreachable(SOURCE, told)
    if code == "152014":
        return SymbolNotListed(SOURCE, params.get("instId", ""), told)
    return RequestRefused(SOURCE, told)


def _retry_after_s(response: requests.Response) -> float:
    try:
        told_s = float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return SUSPENSION_S
    return max(1.0, told_s) if 0 <= told_s <= LONGEST_RETRY_AFTER_S else SUSPENSION_S


def _server_ms(response: requests.Response) -> int | None:
    try:
        told = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError, OverflowError):
        return None
    if told.tzinfo is None:
        told = told.replace(tzinfo=timezone.utc)
    return int((told - datetime.fromtimestamp(0, timezone.utc)).total_seconds() * 1000)


def _reason(error: Exception) -> str:
    """What went wrong without urllib3's object addresses."""
    cause = error.args[0] if error.args else error
    return f"{type(error).__name__}: {getattr(cause, 'reason', None) or cause}"

"""Blofin's public REST API.

Facts are from its documentation (index.md at commit e3600b7, 2026-03-21) unless noted.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import requests
import urllib3.exceptions
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from backfill.domain.markets import Market
from backfill.domain.price_kinds import TRADE, PriceKind
from backfill.domain.symbols import is_pair_name
from backfill.domain.timeframes import utc
from backfill.domain.venues import venue
from backfill.errors import (
    BadPayload,
    ExchangeError,
    ExchangeUnreachable,
    RateLimited,
    RequestRefused,
    SymbolNotListed,
)
from backfill.exchanges.http_answers import json_of, read_until, reason, server_ms, status_error

log = logging.getLogger(__name__)

VENUE = venue("blofin")
SOURCE = VENUE.source
BASE_URL = "https://openapi.blofin.com"
# 1M would be a month.
BARS = {
    "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H",
    "6h": "6H", "8h": "8H", "12h": "12H", "1d": "1D", "1w": "1W",
}  # fmt: skip
CANDLES_OF: dict[PriceKind, str] = {
    "trade": "/api/v1/market/candles",
    "mark": "/api/v1/market/mark-price-candles",
    "index": "/api/v1/market/index-candles",
}
# A page of 1440 rows is 150 kB.
MAX_ANSWER_BYTES = 8 * 1024 * 1024
TRIES = 3


class BlofinAnswer(NamedTuple):
    """The ``data`` of one answer, the exchange's clock (None: unknown), the latency."""

    data: list[Any]
    server_ms: int | None
    latency_ms: float


class BlofinClient:
    """Queries Blofin; thread-safe.

    ``before_request``, the rate budget, may sleep or raise. ``on_ban`` gets every :class:`RateLimited`.
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
        tries: int = TRIES,
    ) -> None:
        self.requests_made = 0
        # As of the last list of markets.
        self.server_ms: int | None = None
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._before_request = before_request
        self._on_ban = on_ban
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._tries = tries

    def candles(
        self, inst_id: str, bar: str, after_ms: int, limit: int = VENUE.rows_per_page, kind: PriceKind = TRADE
    ) -> BlofinAnswer:
        """Up to ``limit`` raw rows that open before ``after_ms``, newest first.

        Rows are nine strings: open time in ms, open, high, low, close, contracts, base volume, quote volume,
        ``confirm`` ("1" closed, "0" forming). Mark and index prices lack the volumes.
        """
        return self._get(
            CANDLES_OF[kind],
            {"instId": inst_id, "bar": bar, "after": str(after_ms), "limit": str(limit)},
        )

    def funding(self, inst_id: str, before_ms: int) -> BlofinAnswer:
        """Payments before ``before_ms``, newest first: `fundingTime` in ms and `fundingRate`, as text."""
        params = {"instId": inst_id, "after": str(before_ms), "limit": str(VENUE.funding_rows)}
        return self._get("/api/v1/market/funding-rate-history", params)

    def markets(self) -> list[Market]:
        """Every contract now listed; raises :class:`BadPayload` if there are none."""
        answer = self._get("/api/v1/market/instruments", {})
        self.server_ms = answer.server_ms
        return markets_of(answer.data)

    def close(self) -> None:
        """The session is the caller's."""

    def _get(self, path: str, params: dict[str, str]) -> BlofinAnswer:
        """Retried; each try takes a turn in the budget."""
        retrying = Retrying(
            retry=retry_if_exception_type((ExchangeUnreachable, BadPayload)),
            stop=stop_after_attempt(self._tries),
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
                self._base_url + path, params=params, timeout=self._timeout_s, stream=True, allow_redirects=False
            ) as response:
                _raise_for_http_status(response, path, began + 3 * self._timeout_s)
                body = read_until(response, began + 3 * self._timeout_s, MAX_ANSWER_BYTES)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ExchangeUnreachable(SOURCE, f"{path}: {reason(error)}") from error
        except ValueError as error:  # requests parses a redirect's target even without following it
            raise BadPayload(SOURCE, f"{path}: sent on to no address: {error!r:.100}") from error
        latency_ms = (time.monotonic() - began) * 1000
        return BlofinAnswer(_data(body, path, params), server_ms(response), latency_ms)


def markets_of(instruments: Sequence[Any]) -> list[Market]:
    """Markets from "Get Instruments"; raises :class:`BadPayload` if no row can be read."""
    if not instruments:
        raise BadPayload(SOURCE, "lists no instrument at all")
    markets: list[Market] = []
    errors: list[BadPayload] = []
    for instrument in instruments:
        try:
            markets.append(_market_of(instrument))
        except BadPayload as error:  # noqa: PERF203 - a list is a few hundred rows
            errors.append(error)
            name = instrument.get("instId") if isinstance(instrument, dict) else None
            if not isinstance(name, str) or is_pair_name(name):
                markets.append(Market.unreadable(name if isinstance(name, str) else ""))
    if len(errors) == len(instruments):
        raise errors[0]
    if errors:
        log.warning("%d of %d instruments are left out: %s", len(errors), len(instruments), errors[0])
    return markets


def _market_of(instrument: Any) -> Market:
    """A row of "Get Instruments"; empty fields are unknown."""
    try:
        symbol = _name(instrument["instId"])
        base, _, quote = symbol.partition("-")
        contract_type = instrument.get("contractType")
        return Market(
            venue_symbol=symbol,
            market_id=symbol,
            base=instrument.get("baseCurrency") or base,
            quote=instrument.get("quoteCurrency") or quote,
            # Missing before 2025: linear contracts settled in their quote currency.
            settle=instrument.get("settleCurrency") or None,
            is_swap=True,
            is_spot=False,
            is_linear=contract_type == "linear",
            is_inverse=contract_type == "inverse",
            contract_size=_size(instrument.get("contractValue")),
            is_active=instrument.get("state") == "live",
            listed_ms=_time_ms(instrument.get("listTime")),
            told={},
            state=instrument.get("state"),
            tick_size=_size(instrument.get("tickSize")),
            expires_ms=_time_ms(instrument.get("expireTime")),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise BadPayload(SOURCE, f"an instrument that cannot be read ({error}): {instrument!a:.200}") from error


def _name(symbol: Any) -> str:
    if not isinstance(symbol, str) or not is_pair_name(symbol):
        raise ValueError("its name is none that an instrument may have")
    return symbol


def _size(text: Any) -> float | None:
    if text in (None, ""):
        return None
    size = float(text)
    if not 0 < size < math.inf:
        raise ValueError("a size that is none")
    return size


def _time_ms(ms: Any) -> int | None:
    """None for what cannot be read: a listing time is only a hint."""
    try:
        return None if ms in (None, "", "0") else round(utc(int(ms)).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _raise_for_http_status(response: requests.Response, path: str, deadline: float) -> None:
    """Blofin's errors have status 200, except for its rate limit and firewall.

    Only the page, which may be cut short, distinguishes a geo-block from a ban.
    """
    body = b""
    if response.status_code in (403, 418):
        with suppress(requests.RequestException, urllib3.exceptions.HTTPError):
            body = read_until(response, deadline, MAX_ANSWER_BYTES)
    if error := status_error(SOURCE, response, path, VENUE.rules, body):
        raise error
    if response.is_redirect:  # to a captive portal
        raise BadPayload(SOURCE, f"{path}: sent on to {response.headers['Location']!r:.100}")
    if response.status_code != 200:
        raise RequestRefused(SOURCE, f"{path}: HTTP {response.status_code}")


def _data(body: bytes, path: str, params: dict[str, str]) -> list[Any]:
    envelope = json_of(SOURCE, body, path)
    if not isinstance(envelope, dict) or not isinstance(envelope.get("code"), (str, int)):
        raise BadPayload(SOURCE, f"{path}: no envelope with a code: {body[:60]!r}")
    code, message = str(envelope["code"]), str(envelope.get("msg", ""))
    if code != "0":
        raise _named_error(code, message, path, params)
    data = envelope.get("data")
    if not isinstance(data, list):
        raise BadPayload(SOURCE, f"{path}: data is {type(data).__name__}, not a list")
    return data


def _named_error(code: str, message: str, path: str, params: dict[str, str]) -> ExchangeError:
    # Either may be long, or unfit for a database.
    said = f"{path}: code {ascii(code)[1:-1]:.40} {message!r:.200}"
    if code in VENUE.rate_codes:
        return RateLimited(SOURCE, said, VENUE.rules.rate_limit_s)
    if code in VENUE.outage_codes:
        return ExchangeUnreachable(SOURCE, said)
    if code in VENUE.unlisted_codes:
        return SymbolNotListed(SOURCE, params.get("instId", ""), said)
    return RequestRefused(SOURCE, said)

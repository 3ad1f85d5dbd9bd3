"""Binance's bulk archive, data.binance.vision: a zip a day or a month, with a `.CHECKSUM` beside it.

Paths: github.com/binance/binance-public-data. Lists of files are S3's (ListObjects).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import NamedTuple

import requests
import urllib3.exceptions
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from backfill.domain.archive_plan import ArchiveFile
from backfill.domain.candle_files import ARCHIVE, QUOTES, checksum_in
from backfill.domain.markets import Market
from backfill.domain.venues import venue
from backfill.errors import BadPayload, ExchangeUnreachable, FileNotServed, RateLimited, RequestRefused
from backfill.exchanges.http_answers import read_until, reason, server_ms, status_error
from backfill.exchanges.packed_csv import unpacked

BASE_URL = "https://data.binance.vision"
# The website draws its lists from here.
LIST_URL = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"
MONTHS = "data/futures/um/monthly/klines/"
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_LISTS = 20
TRIES = 3
_MARKET = re.compile(rf"<Prefix>{MONTHS}(([A-Z0-9]+?)({'|'.join(QUOTES[:3])}))/</Prefix>")
_MARKER = re.compile(r"<NextMarker>([^<]+)</NextMarker>")


class ArchiveAnswer(NamedTuple):
    """A file's CSV, the server's clock (None: unknown), the latency."""

    csv: bytes
    server_ms: int | None
    latency_ms: float


class ArchiveClient:
    """Fetches files; thread-safe. ``before_request`` may sleep or raise."""

    def __init__(
        self,
        session: requests.Session,
        base_url: str | None = None,
        *,
        before_request: Callable[[], None] = lambda: None,
        on_ban: Callable[[RateLimited], None] = lambda _: None,
        timeout_s: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.requests_made = 0
        self.server_ms: int | None = None
        self._session = session
        self._base_url = (base_url or BASE_URL).rstrip("/")
        self._list_url = base_url.rstrip("/") if base_url else LIST_URL
        self._before_request = before_request
        self._on_ban = on_ban
        self._timeout_s = timeout_s
        self._sleep = sleep

    def checksum(self, symbol: str, timeframe: str, file: ArchiveFile) -> str:
        """The expected SHA-256; empty if the `.CHECKSUM` gives none. Raises :class:`FileNotServed`."""
        name, path = _names(symbol, timeframe, file)
        return checksum_in(self._get(f"{path}.CHECKSUM").decode(errors="replace"), name) or ""

    def candles(self, symbol: str, timeframe: str, file: ArchiveFile, checksum: str | None = None) -> ArchiveAnswer:
        """A day or month of rows, with the right checksum; if it is wrong, both are fetched once more.

        ``checksum``: if known already. Raises :class:`FileNotServed`, :class:`BadPayload` or another
        :class:`ExchangeError`.
        """
        name, path = _names(symbol, timeframe, file)
        began = time.monotonic()
        packed = self._get(path)
        if (checksum or self.checksum(symbol, timeframe, file)) != hashlib.sha256(packed).hexdigest():
            packed = self._get(path)
            if self.checksum(symbol, timeframe, file) != hashlib.sha256(packed).hexdigest():
                raise BadPayload(ARCHIVE, f"{name}: its SHA-256 is not that of its .CHECKSUM")
        try:
            csv = unpacked(name, packed)
        except ValueError as error:
            raise BadPayload(ARCHIVE, f"{name}: {error}") from error
        return ArchiveAnswer(csv, self.server_ms, (time.monotonic() - began) * 1000)

    def markets(self) -> list[Market]:
        """Every perpetual with months in the archive; raises :class:`BadPayload` if there are none."""
        found: dict[str, Market] = {}
        marker = ""
        for _ in range(MAX_LISTS):
            params = {"delimiter": "/", "prefix": MONTHS, **({"marker": marker} if marker else {})}
            text = self._get("/", params, self._list_url).decode(errors="replace")
            for symbol, base, quote in _MARKET.findall(text):
                found[symbol] = _market(symbol, base, quote)
            following = _MARKER.search(text)
            if following is None:
                break
            marker = following[1]
        if not found:
            raise BadPayload(ARCHIVE, "lists no market at all")
        return list(found.values())

    def close(self) -> None:
        """The session is the caller's."""

    def _get(self, path: str, params: dict[str, str] | None = None, base_url: str | None = None) -> bytes:
        """Retried; each try takes a turn in the budget."""
        retrying = Retrying(
            retry=retry_if_exception_type(ExchangeUnreachable),
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._ask_in_turn, (base_url or self._base_url) + path, params)

    def _ask_in_turn(self, url: str, params: dict[str, str] | None) -> bytes:
        self._before_request()
        self.requests_made += 1
        try:
            return self._ask_once(url, params)
        except RateLimited as error:
            self._on_ban(error)
            raise

    def _ask_once(self, url: str, params: dict[str, str] | None) -> bytes:
        name = url.rpartition("/")[2] or "the list of markets"
        deadline = time.monotonic() + 6 * self._timeout_s
        try:
            with self._session.get(
                url, params=params, timeout=self._timeout_s, stream=True, allow_redirects=False
            ) as response:
                if response.status_code == 404:
                    raise FileNotServed(ARCHIVE, f"{name}: the archive has no such file")
                if error := status_error(ARCHIVE, response, name, venue(ARCHIVE).rules):
                    raise error
                if response.status_code != 200:
                    raise RequestRefused(ARCHIVE, f"{name}: HTTP {response.status_code}")
                self.server_ms = server_ms(response)
                return read_until(response, deadline, MAX_ANSWER_BYTES)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ExchangeUnreachable(ARCHIVE, f"{name}: {reason(error)}") from error


def _names(symbol: str, timeframe: str, file: ArchiveFile) -> tuple[str, str]:
    name = f"{symbol}-{timeframe}-{file.date}.zip"
    period = "monthly" if file.is_month else "daily"
    return name, f"/data/futures/um/{period}/klines/{symbol}/{timeframe}/{name}"


def _market(symbol: str, base: str, quote: str) -> Market:
    return Market(
        venue_symbol=symbol,
        market_id=symbol,
        base=base,
        quote=quote,
        settle=quote,
        is_swap=True,
        is_spot=False,
        is_linear=True,
        is_inverse=False,
        contract_size=1.0,
        is_active=None,
        listed_ms=None,
        told={},
    )

"""JSON over HTTP for registered sources: turns, retries, time-outs, typed errors, hidden keys."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from backfill.domain.markets import Market
from backfill.domain.venues import Venue
from backfill.errors import BadPayload, ExchangeError, ExchangeUnreachable, RateLimited, RequestRefused
from backfill.exchanges.http_answers import json_of, read_until, reason, server_ms, status_error
from backfill.exchanges.source_contract import SourceAccess

MAX_ANSWER_BYTES = 32 * 1024 * 1024


class _HiddenKeys(logging.Filter):
    """urllib3 logs addresses at DEBUG; some sources take their key only there."""

    keys: ClassVar[set[str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if any(key in text for key in self.keys):
            for key in self.keys:
                text = text.replace(key, "***")
            record.msg, record.args = text, ()
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_HiddenKeys())


class JsonAnswer(NamedTuple):
    """One answer; ``server_ms`` None: unknown."""

    document: Any
    server_ms: int | None
    latency_ms: float


class HttpClient:
    """Base of a :class:`CandleClient`. A subclass adds ``venue``, ``public_url``, ``bars`` and :meth:`error_in`.

    HTTP statuses are interpreted here.
    """

    venue: ClassVar[Venue]
    public_url: ClassVar[str]

    def __init__(self, access: SourceAccess) -> None:
        self.requests_made = 0
        self.server_ms: int | None = None
        self._access = access
        _HiddenKeys.keys.update(key for key in (access.api_key, access.api_secret) if key)
        self._base_url = (access.base_url or self.public_url).rstrip("/")

    def markets(self) -> list[Market]:
        """Empty: the row names them."""
        return []

    def close(self) -> None:
        """The session is the caller's."""

    def headers(self) -> Mapping[str, str]:
        """Headers of every request."""
        return {}

    def error_in(self, status: int, document: Any, where: str) -> ExchangeError | None:
        """The error that an answer's body names, whatever its status, or None. ``document`` None: not JSON."""
        return None

    def get(self, path: str, params: Mapping[str, str] | None = None) -> JsonAnswer:
        """The JSON at ``path`` or at a whole URL of the same host; each try takes a turn in the budget."""
        if self.venue.needs_key and not self._access.key:
            name = self.venue.source
            raise RequestRefused(name, f"needs a key: make it the password of the connection {name}_default")
        url = self._url(path)
        retrying = Retrying(
            retry=retry_if_exception_type((ExchangeUnreachable, BadPayload)),
            stop=stop_after_attempt(self._access.tries),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            sleep=self._access.sleep,
            reraise=True,
        )
        return retrying(self._in_turn, url, params or {})

    def _url(self, path: str) -> str:
        url = urljoin(self._base_url + "/", path if "://" in path else path.lstrip("/"))
        if _origin(url) != _origin(self._base_url):
            raise BadPayload(
                self.venue.source, f"leads on to another host, {urlsplit(url).hostname!a:.60}: not followed"
            )
        return url

    def _in_turn(self, url: str, params: Mapping[str, str]) -> JsonAnswer:
        self._access.before_request()
        self.requests_made += 1
        try:
            return self._once(url, params)
        except RateLimited as error:
            self._access.on_limit(error)
            raise

    def _once(self, url: str, params: Mapping[str, str]) -> JsonAnswer:
        source, where, began = self.venue.source, urlsplit(url).path, time.monotonic()
        deadline = began + 3 * self._access.timeout_s
        try:
            with self._access.session.get(
                url,
                params=dict(params),
                headers=dict(self.headers()),
                timeout=self._access.timeout_s,
                stream=True,
                allow_redirects=False,
            ) as response:
                if response.status_code != 200:
                    raise self._refusal(response, deadline, where)
                body = read_until(response, deadline, MAX_ANSWER_BYTES)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # Not chained: its text may have the address with the key.
            raise ExchangeUnreachable(source, self.hidden(f"{where}: {reason(error)}")) from None
        except ValueError as error:  # requests parses a redirect's target even without following it
            raise BadPayload(source, self.hidden(f"{where}: sent on to no address: {error!r:.100}")) from None
        document = json_of(source, body, where)
        if worded := self.error_in(200, document, where):
            raise worded
        self.server_ms = server_ms(response)
        return JsonAnswer(document, self.server_ms, (time.monotonic() - began) * 1000)

    def _refusal(self, response: requests.Response, deadline: float, where: str) -> ExchangeError:
        """The error of a status other than 200."""
        source, body, document = self.venue.source, b"", None
        with suppress(requests.RequestException, urllib3.exceptions.HTTPError):
            body = read_until(response, deadline, MAX_ANSWER_BYTES)
        with suppress(ValueError, RecursionError):
            document = json.loads(body)
        if document is not None and (worded := self.error_in(response.status_code, document, where)):
            return worded
        if error := status_error(source, response, where, self.venue.rules, body):
            return error
        if response.is_redirect:  # to a captive portal
            return BadPayload(source, f"{where}: sent on to another address")
        return RequestRefused(source, self.hidden(f"{where}: HTTP {response.status_code} {body[:120]!r}"))

    def hidden(self, text: str) -> str:
        """``text`` without the keys."""
        for key in (self._access.api_key, self._access.api_secret):
            if key:
                text = text.replace(key, "***")
        return text


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc

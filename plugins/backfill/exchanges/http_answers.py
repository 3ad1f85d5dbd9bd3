"""Read HTTP answers in time; interpret status and headers."""

from __future__ import annotations

import io
import json
import re
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any

import requests
import urllib3

from backfill.domain.venues import StatusRules
from backfill.errors import AddressBanned, BadPayload, ExchangeError, ExchangeUnreachable, GeoBlocked, RateLimited

# Of CloudFront, Binance and others; the first is of Bybit's CDN for the United States.
GEO_WORDS = ("block access from your country", "restricted location", "not available in your country")
CHUNK_BYTES = 64 * 1024
# Python parses a thousand but cannot serialise them.
MOST_LEVELS = 32
CONTAINERS = frozenset({list, dict})


def status_error(
    exchange: str, response: requests.Response, where: str, rules: StatusRules, body: bytes = b""
) -> ExchangeError | None:
    """The error that the HTTP status implies; None if the body must be examined.

    ``body``, even if cut short, distinguishes a geo-block from a ban.
    """
    status = response.status_code
    if status == 429:
        return RateLimited(exchange, "too many requests", retry_after_s(response, rules, rules.rate_limit_s))
    if status == 451 or (status in (403, 418) and is_geo_block(body)):
        return GeoBlocked(exchange, f"not served in this country (HTTP {status})")
    if status == 403 and rules.forbidden == "geo":
        return GeoBlocked(exchange, "forbidden, as it is where the exchange does not serve (HTTP 403)")
    if status in (403, 418):
        wait_s = retry_after_s(response, rules, rules.ban_s)
        return AddressBanned(exchange, f"the firewall has banned our address (HTTP {status})", wait_s)
    if status >= 500:
        return ExchangeUnreachable(exchange, f"{where}: HTTP {status}")
    return None


def is_geo_block(body: bytes) -> bool:
    """Whether the body says that our country is not served."""
    text = body[:4096].decode(errors="replace").lower()
    return any(words in text for words in GEO_WORDS)


def read_until(response: requests.Response, deadline: float, max_bytes: int) -> bytes:
    """The whole body: requests' own timeout is per read and never ends a slow drip.

    ``deadline`` is monotonic. Decoded last, since a decoder may swallow drips. Raises what requests and urllib3 raise.
    """
    wire = bytearray()
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
        wire += chunk
        if time.monotonic() > deadline or len(wire) > max_bytes:
            raise requests.Timeout(f"answer not complete after {len(wire)} bytes")
    decoder = urllib3.HTTPResponse(io.BytesIO(wire), headers=response.raw.headers, preload_content=False)
    body = decoder.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise requests.Timeout(f"answer not complete after {len(body)} bytes")
    return body


def json_of(exchange: str, body: bytes, where: str) -> Any:
    """The JSON of an answer, or :class:`BadPayload`."""
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadPayload(exchange, f"{where}: not JSON but {body[:60]!r}") from error
    if _is_nested_too_deep(document):
        raise BadPayload(exchange, f"{where}: nested deeper than {MOST_LEVELS} levels: {body[:60]!r}")
    return document


def _is_nested_too_deep(document: Any) -> bool:
    level = [document]
    for _ in range(MOST_LEVELS):
        level = [outer for outer in level if type(outer) in CONTAINERS]
        level = list(chain.from_iterable(outer.values() if type(outer) is dict else outer for outer in level))
        if CONTAINERS.isdisjoint(map(type, level)):
            return False
    return True


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON, though Python would read it")


def retry_after_s(response: requests.Response, rules: StatusRules, otherwise_s: float) -> float:
    """The wait that the headers ask for, in seconds; ``otherwise_s`` if absent or implausible."""
    told_s = _number(response, "Retry-After")
    if told_s is None and rules.reset_header is not None:
        reset_ms = _number(response, rules.reset_header)
        told_s = None if reset_ms is None else reset_ms / 1000
    return max(1.0, told_s) if told_s is not None and 0 <= told_s <= rules.longest_s else otherwise_s


def weight_is_used_up(
    exchange: str, response: requests.Response, used_weight: tuple[str, int, int]
) -> RateLimited | None:
    """A pause to the end of the minute if one more page would exceed the weight of all programs at our address."""
    header, most, of_a_page = used_weight
    used, at_ms = _number(response, header), server_ms(response)
    if used is None or used + of_a_page <= most:
        return None
    left_s = 60 if at_ms is None else 60 - at_ms // 1000 % 60
    return RateLimited(exchange, f"{used:.0f} of {most} weight used in this minute", left_s)


def _number(response: requests.Response, header: str) -> float | None:
    try:
        return float(response.headers[header])
    except (KeyError, ValueError):
        return None


def server_ms(response: requests.Response) -> int | None:
    """The exchange's clock by its Date header, to the second; None: unreadable."""
    try:
        sent_at = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError, OverflowError):
        return None
    if sent_at.tzinfo is None:
        sent_at = sent_at.replace(tzinfo=timezone.utc)
    return int((sent_at - datetime.fromtimestamp(0, timezone.utc)).total_seconds() * 1000)


def reason(error: Exception) -> str:
    """What failed, without object addresses of older urllib3."""
    cause = error.args[0] if error.args else error
    text = f"{type(error).__name__}: {getattr(cause, 'reason', None) or cause}"
    return re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>:? ?", "", text)

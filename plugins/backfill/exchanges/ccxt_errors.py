"""ccxt's errors in our words."""

from __future__ import annotations

import re

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
from backfill.exchanges.ccxt_wire import WireAnswer


def as_ours(error: Exception, venue: Venue, what: str, answer: WireAnswer | None) -> ExchangeError:
    """The error that ``error``, raised by ccxt while it did ``what``, stands for.

    ``answer`` is the last one over the wire: ccxt calls a 404 a network error, and may stumble over a refusal. What is
    not ccxt's own (TypeError and other surprises, mostly of markets described by half) is a :class:`BadPayload`.
    """
    import ccxt

    source = venue.source
    named = f"{type(error).__name__}: {_message(error)}"
    message = f"{what}: {named}"
    if isinstance(error, ccxt.BadSymbol):
        return SymbolNotListed(source, what, named)
    if isinstance(error, ccxt.RestrictedLocation):
        return GeoBlocked(source, message)
    if isinstance(error, (ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
        return RateLimited(source, message, venue.rules.rate_limit_s)
    if isinstance(error, ccxt.BadResponse):
        return BadPayload(source, message)
    if answer is not None and answer.status >= 400:
        return RequestRefused(source, f"{what}: HTTP {answer.status} {answer.document!r:.200}")
    if isinstance(error, ccxt.OperationFailed):
        return ExchangeUnreachable(source, message)
    if isinstance(error, ccxt.BaseError):
        return RequestRefused(source, message)
    return BadPayload(source, message)


def _message(error: Exception) -> str:
    """One short line, without the query of a URL, which may hold a signature, and without what no database takes."""
    line = re.sub(r"\?\S+", "?...", " ".join(str(error).split()))[:200]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)

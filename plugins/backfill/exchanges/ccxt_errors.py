"""Map ccxt's errors to ours."""

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
    """Our error for one that ccxt raised during ``what``.

    ``answer`` is the last received: ccxt calls a 404 a network error, and may fail on a refusal. Foreign exceptions
    (TypeError, ..., mostly from incomplete markets) become :class:`BadPayload`.
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
    """One printable line without URL queries, which may hold a signature."""
    line = re.sub(r"\?\S+", "?...", " ".join(str(error).split()))[:200]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)

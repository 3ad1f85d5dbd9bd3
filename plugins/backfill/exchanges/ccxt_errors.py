"""ccxt's errors in our words."""

from __future__ import annotations

import re

from backfill.errors import (
    BadPayload,
    ExchangeError,
    ExchangeUnreachable,
    GeoBlocked,
    RateLimited,
    RequestRefused,
    SymbolNotListed,
)
from backfill.exchanges.venues import Venue


def as_ours(error: Exception, venue: Venue, what: str, status: int | None) -> ExchangeError:
    """The error that ``error``, raised by ccxt while it did ``what``, stands for.

    ``status`` is the HTTP status of the last answer, None if there was none: ccxt calls a 404 a network error. What
    is not ccxt's own (TypeError and other surprises, mostly of markets described by half) is a :class:`BadPayload`.
    """
    import ccxt

    source = venue.source
    named = f"{type(error).__name__}: {_message(error)}"
    told = f"{what}: {named}"
    if isinstance(error, ccxt.BadSymbol):
        return SymbolNotListed(source, what, named)
    if isinstance(error, ccxt.RestrictedLocation):
        return GeoBlocked(source, told)
    if isinstance(error, (ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
        return RateLimited(source, told, venue.rules.rate_limit_s)
    if isinstance(error, ccxt.BadResponse):
        return BadPayload(source, told)
    if isinstance(error, ccxt.OperationFailed) and (status is None or status < 400):
        return ExchangeUnreachable(source, told)
    if isinstance(error, ccxt.BaseError):
        return RequestRefused(source, told)
    return BadPayload(source, told)


def _message(error: Exception) -> str:
    """One short line, without the query of a URL, which may hold a signature."""
    return re.sub(r"\?\S+", "?...", " ".join(str(error).split()))[:200]

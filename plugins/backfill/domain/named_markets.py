"""Markets of sources that call stocks and currency pairs as we do: known by name, without a list."""

from __future__ import annotations

import re

from backfill.domain.markets import Market

_PAIR = re.compile(r"([A-Z0-9]{2,12})_([A-Z]{3})")
_TICKER = re.compile(r"[A-Z][A-Z0-9]{0,5}(?:\.[A-Z]{1,4})?")


def named_market(venue_symbol: str, base: str, quote: str, *, is_spot: bool = False) -> Market:
    """A market of which no more is known. A stock or a pair is itself; spot of a coin only stands in for it."""
    return Market(
        venue_symbol=venue_symbol,
        market_id=venue_symbol,
        base=base,
        quote=quote,
        settle=quote,
        is_swap=False,
        is_spot=is_spot,
        is_linear=False,
        is_inverse=False,
        contract_size=None,
        is_active=None,
        listed_ms=None,
        told={},
    )


def pair_of(symbol: str) -> tuple[str, str] | None:
    """Base and quote of ``EUR_USD`` or ``XAU_USD``."""
    found = _PAIR.fullmatch(symbol)
    return None if found is None else (found[1], found[2])


def ticker_of(symbol: str) -> str | None:
    """``AAPL``, ``BRK.B``: a stock, in dollars unless its exchange's suffix says otherwise."""
    return symbol if _TICKER.fullmatch(symbol) else None

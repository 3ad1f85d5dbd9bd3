"""A market as ccxt describes it, cut down to what identifies and scales it and to what ccxt needs to ask for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backfill.domain.markets import Market

# What of ccxt's market a request for candles is built from; ``baseName`` is Hyperliquid's own spelling.
_NEEDED = (
    *("id", "symbol", "base", "quote", "settle", "baseId", "quoteId", "settleId", "baseName"),
    *("type", "subType", "spot", "margin", "swap", "future", "option", "contract", "linear", "inverse"),
    *("contractSize", "active", "created", "expiry", "stock"),
)


def can_be_kept(market: Market) -> bool:
    """Whether it is JSON that Postgres takes: no NaN, no NUL, no half of a surrogate pair in a name."""
    try:
        text = json.dumps(market.as_dict(), allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return rb"\u0000" not in text


def market_of(told: Mapping[str, Any]) -> Market:
    """ccxt's market structure as a :class:`Market`."""
    size = told.get("contractSize")
    created = told.get("created")
    return Market(
        venue_symbol=str(told["symbol"]),
        market_id=str(told["id"]),
        base=str(told.get("baseName") or told["base"]),
        quote=str(told["quote"]),
        settle=told.get("settle"),
        is_swap=told.get("swap") is True,
        is_spot=told.get("spot") is True,
        is_linear=told.get("linear") is True,
        is_inverse=told.get("inverse") is True,
        contract_size=float(size) if size else None,
        is_active=told.get("active"),
        listed_ms=int(created) if created else None,
        told={key: told[key] for key in _NEEDED if told.get(key) is not None},
    )

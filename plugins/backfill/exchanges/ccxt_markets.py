"""Reduce ccxt's markets to what we need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backfill.domain.markets import Market

# Fields needed to request candles; ``baseName`` is Hyperliquid's spelling.
_NEEDED = (
    *("id", "symbol", "base", "quote", "settle", "baseId", "quoteId", "settleId", "baseName"),
    *("type", "subType", "spot", "margin", "swap", "future", "option", "contract", "linear", "inverse"),
    *("contractSize", "active", "created", "expiry", "stock"),
)


def can_be_kept(market: Market) -> bool:
    """Whether Postgres accepts it as JSON: no NaN, NUL or lone surrogate."""
    try:
        text = json.dumps(market.as_dict(), allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return rb"\u0000" not in text


def market_of(described: Mapping[str, Any]) -> Market:
    """ccxt's market as a :class:`Market`."""
    size = described.get("contractSize")
    created = described.get("created")
    return Market(
        venue_symbol=str(described["symbol"]),
        market_id=str(described["id"]),
        base=str(described.get("baseName") or described["base"]),
        quote=str(described["quote"]),
        settle=described.get("settle"),
        is_swap=described.get("swap") is True,
        is_spot=described.get("spot") is True,
        is_linear=described.get("linear") is True,
        is_inverse=described.get("inverse") is True,
        contract_size=float(size) if size else None,
        is_active=described.get("active"),
        listed_ms=int(created) if created else None,
        told=_told(described),
    )


def _told(described: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: described[key] for key in _NEEDED if described.get(key) is not None}
    info = described.get("info")
    if isinstance(info, Mapping) and info.get("instFamily"):  # what ccxt asks OKX's index prices by
        told["info"] = {"instFamily": info["instFamily"]}
    return told

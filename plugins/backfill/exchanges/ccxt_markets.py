"""A market as ccxt describes it, cut down to what identifies and scales it and to what ccxt needs to ask for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# What of ccxt's market a request for candles is built from; ``baseName`` is Hyperliquid's own spelling.
_NEEDED = (
    *("id", "symbol", "base", "quote", "settle", "baseId", "quoteId", "settleId", "baseName"),
    *("type", "subType", "spot", "margin", "swap", "future", "option", "contract", "linear", "inverse"),
    *("contractSize", "active", "created", "expiry", "stock"),
)


@dataclass(frozen=True, slots=True)
class Market:
    """One market of a venue. ``told`` is ccxt's own description; all of it is plain JSON, to be kept anywhere.

    ``base`` is spelled as the venue does where case matters (kPEPE), else as ccxt does, which tells coins of one name
    apart. ``contract_size`` is in coins a contract; None: spot, or not told.
    """

    venue_symbol: str
    market_id: str
    base: str
    quote: str
    settle: str | None
    is_swap: bool
    is_spot: bool
    is_linear: bool
    is_inverse: bool
    contract_size: float | None
    is_active: bool | None
    listed_ms: int | None
    told: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For a cache; ``Market(**kept)`` brings it back."""
        return asdict(self)


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

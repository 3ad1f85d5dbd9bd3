"""A market of a venue, cut down to what identifies and scales it and to what a client needs to ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Market:
    """One market of a venue. ``told`` is the client's own description, as plain JSON.

    ``base`` is spelled as the venue does where case matters (kPEPE), else as ccxt does, which keeps coins of one name
    apart. ``contract_size`` is in coins a contract; None: spot, or unknown.
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
    state: str | None = None
    tick_size: float | None = None
    expires_ms: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a cache; ``Market(**kept)`` brings it back."""
        return asdict(self)

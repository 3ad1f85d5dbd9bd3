"""A market of a venue: identity, scale, and what a client needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Market:
    """One market of a venue, with the client's description as plain JSON.

    ``base`` is spelled as at the venue where case matters (kPEPE), else as in ccxt, which keeps coins of one name
    apart. ``contract_size``: coins per contract, None for spot or unknown.
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
    is_readable: bool = True

    @classmethod
    def unreadable(cls, venue_symbol: str) -> Market:
        """A row that is left out, by its name, empty if that cannot be read either."""
        unknown = {"base": "", "quote": "", "settle": None, "contract_size": None, "is_active": None, "listed_ms": None}
        kinds = dict.fromkeys(("is_swap", "is_spot", "is_linear", "is_inverse"), False)
        return cls(venue_symbol, venue_symbol, told={}, is_readable=False, **unknown, **kinds)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, Any]:
        """As a dict for a cache; ``Market(**kept)`` restores it."""
        return asdict(self)

"""Share a scarce capacity."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def fair_share(needs: Mapping[K, int], capacity: int) -> dict[K, int]:
    """Max-min fair: no request gets more than it needs, the rest is shared equally, remainders to the first."""
    shares: dict[K, int] = {}
    left = max(0, capacity)
    by_need = sorted(needs, key=lambda who: needs[who])
    for place, who in enumerate(by_need):
        share = min(needs[who], -(-left // (len(by_need) - place)))
        shares[who] = share
        left -= share
    return shares

"""What a candle's prices are: a perpetual's trades, mark price or index, distinguished by the symbol.

``BTC-USDT.mark`` is an instrument of its own: same contract, no volume.
"""

from __future__ import annotations

from typing import Literal

PriceKind = Literal["trade", "mark", "index"]
TRADE: PriceKind = "trade"
SUFFIXES: dict[str, PriceKind] = {".mark": "mark", ".index": "index"}


def kind_of(symbol: str) -> PriceKind:
    """What the candles of ``symbol`` are made of."""
    return next((kind for suffix, kind in SUFFIXES.items() if symbol.endswith(suffix)), TRADE)


def contract_of(symbol: str) -> str:
    """The instrument of these prices: ``BTC-USDT`` for ``BTC-USDT.mark``."""
    return next((symbol.removesuffix(suffix) for suffix in SUFFIXES if symbol.endswith(suffix)), symbol)

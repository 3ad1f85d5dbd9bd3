"""Instruments of paper exchanges for stocks, which trade round the clock here."""

from __future__ import annotations

from decimal import Decimal

from backfill.paper.coins import FIRST_LISTING_MS, Coin
from backfill.paper.market import PaperInstrument


def asset(symbol: str, tick: str, price: float, turnover: float = 5e9, listed_ms: int = FIRST_LISTING_MS) -> Coin:
    """An instrument whose volumes are whole units."""
    return Coin(PaperInstrument(symbol, Decimal(1), Decimal(1), Decimal(tick), listed_ms), price, 0.006, turnover)

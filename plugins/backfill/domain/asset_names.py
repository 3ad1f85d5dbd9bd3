"""What our names mean to sources of stocks and currencies: AAPL, EUR_USD, and coins as BTC-USDT."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from backfill.domain.markets import Market
from backfill.domain.symbols import DOLLARS, readings

_STOCK = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:\.[A-Z]{1,2})?")
_PAIR = re.compile(r"([A-Z]{3})_([A-Z]{3})")
_COIN = re.compile(r"([A-Z0-9]+)-([A-Z0-9]+)")


class Asset(NamedTuple):
    """A stock in dollars, a pair of currencies, or a single coin, also where our name counts thousands."""

    kind: Literal["stock", "pair", "coin"]
    base: str
    quote: str


def asset_of(symbol: str) -> Asset | None:
    """The instrument of that name; None: the name shows none."""
    if pair := _PAIR.fullmatch(symbol):
        return Asset("pair", pair[1], pair[2])
    if coin := _COIN.fullmatch(symbol):
        return Asset("coin", list(readings(coin[1]))[-1], "USD" if coin[2] in DOLLARS else coin[2])
    return Asset("stock", symbol, "USD") if _STOCK.fullmatch(symbol) else None


def named_market(asset: Asset, venue_symbol: str) -> Market:
    """A source's market by name. A coin's is spot, so it only stands in for a perpetual."""
    return Market(
        venue_symbol=venue_symbol,
        market_id=venue_symbol,
        base=asset.base,
        quote=asset.quote,
        settle=None,
        is_swap=False,
        is_spot=asset.kind == "coin",
        is_linear=False,
        is_inverse=False,
        contract_size=None,
        is_active=None,
        listed_ms=None,
        told={},
    )

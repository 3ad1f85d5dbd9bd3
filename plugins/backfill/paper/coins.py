"""Coins of the synthetic market: 32 real ones by name and contract, and any number of made-up ones.

Contract value, lot size, tick size and listing time are Blofin's (instruments answer of 2025-12-14); price, volatility
and turnover are rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, product
from string import ascii_uppercase

import numpy as np

from backfill.domain.timeframes import DAY_MS
from backfill.paper.market import PaperInstrument

FIRST_LISTING_MS = 1_673_517_600_000  # 2023-01-12T10:00Z: Blofin's first instruments


@dataclass(frozen=True)
class Coin:
    """An instrument and how it behaves.

    ``price`` and ``daily_turnover`` are in quote currency; ``daily_volatility`` is the standard deviation of a day's
    log return.
    """

    instrument: PaperInstrument
    price: float
    daily_volatility: float
    daily_turnover: float


def _coin(
    base: str,
    contract_value: str,
    lot_size: str,
    tick_size: str,
    listed_ms: int,
    price: float,
    volatility_pct: float,
    turnover_millions: float,
) -> Coin:
    instrument = PaperInstrument(
        f"{base}-USDT", Decimal(contract_value), Decimal(lot_size), Decimal(tick_size), listed_ms
    )
    return Coin(instrument, price, volatility_pct / 100, turnover_millions * 1e6)


LIQUID_COINS: tuple[Coin, ...] = (
    _coin("BTC", "0.001", "0.1", "0.1", FIRST_LISTING_MS, 95_000, 2.2, 900),
    _coin("ETH", "0.01", "0.1", "0.01", FIRST_LISTING_MS, 3_200, 3.2, 600),
    _coin("SOL", "1", "0.01", "0.01", FIRST_LISTING_MS, 145, 3.8, 200),
    _coin("XRP", "100", "0.01", "0.0001", FIRST_LISTING_MS, 2.1, 3.6, 120),
    _coin("DOGE", "1000", "0.01", "0.00001", FIRST_LISTING_MS, 0.14, 4.2, 80),
    _coin("ADA", "100", "0.01", "0.0001", FIRST_LISTING_MS, 0.42, 4.0, 30),
    _coin("AVAX", "1", "0.1", "0.001", FIRST_LISTING_MS, 13.5, 4.2, 25),
    _coin("LINK", "1", "0.1", "0.001", FIRST_LISTING_MS, 13.2, 4.0, 30),
    _coin("LTC", "1", "0.01", "0.01", FIRST_LISTING_MS, 82, 3.4, 25),
    _coin("BCH", "0.1", "0.1", "0.01", FIRST_LISTING_MS, 560, 3.4, 20),
    _coin("DOT", "1", "0.1", "0.001", FIRST_LISTING_MS, 2.1, 4.2, 15),
    _coin("TRX", "1000", "0.01", "0.00001", FIRST_LISTING_MS, 0.28, 1.8, 15),
    _coin("TON", "1", "1", "0.0001", 1_698_661_805_000, 1.6, 4.0, 10),
    _coin("SUI", "1", "1", "0.0001", 1_683_189_005_000, 1.5, 5.0, 40),
    _coin("APT", "1", "0.1", "0.0001", FIRST_LISTING_MS, 1.7, 4.8, 12),
    _coin("ARB", "1", "1", "0.0001", 1_679_580_005_000, 0.21, 5.0, 15),
    _coin("OP", "1", "1", "0.0001", 1_681_288_205_000, 0.31, 5.2, 10),
    _coin("NEAR", "10", "0.1", "0.001", 1_681_288_205_000, 1.7, 4.8, 12),
    _coin("ATOM", "1", "1", "0.001", FIRST_LISTING_MS, 2.3, 4.0, 8),
    _coin("FIL", "0.1", "1", "0.001", FIRST_LISTING_MS, 1.4, 4.5, 10),
    _coin("INJ", "1", "0.1", "0.001", 1_691_145_005_000, 5.2, 5.0, 8),
    _coin("UNI", "1", "0.1", "0.001", FIRST_LISTING_MS, 5.5, 4.8, 12),
    _coin("AAVE", "0.1", "0.1", "0.01", FIRST_LISTING_MS, 180, 4.4, 15),
    _coin("ETC", "0.1", "1", "0.001", FIRST_LISTING_MS, 13, 3.6, 8),
    _coin("ALGO", "10", "1", "0.0001", FIRST_LISTING_MS, 0.13, 4.4, 6),
    _coin("HBAR", "100", "0.1", "0.00001", 1_697_617_800_000, 0.125, 4.6, 12),
    _coin("ICP", "0.01", "1", "0.001", 1_691_145_005_000, 3.4, 4.8, 8),
    _coin("SEI", "10", "1", "0.0001", 1_692_693_005_000, 0.13, 5.0, 8),
    _coin("TIA", "1", "1", "0.0001", 1_698_813_005_000, 0.55, 5.5, 8),
    _coin("PEPE", "10000000", "0.01", "0.000000001", 1_683_793_801_000, 0.0000045, 5.5, 40),
    _coin("SHIB", "1000000", "0.1", "0.000000001", 1_691_145_005_000, 0.0000084, 4.0, 15),
    _coin("WIF", "1", "1", "0.0001", 1_705_587_315_000, 0.38, 6.0, 15),
)
"""The default universe, in its order. PEPE and SHIB are quoted per coin on Blofin, not per thousand."""

MULTIPLIED_COINS: tuple[Coin, ...] = (
    _coin("1000BONK", "1000", "0.1", "0.000001", 1_700_123_405_000, 0.012, 5.5, 15),
    _coin("10000SATS", "1", "1", "0.0000001", 1_700_195_405_000, 0.00018, 5.5, 3),
    _coin("1000000BABYDOGE", "1000", "1", "0.0000001", 1_718_190_005_000, 0.0009, 5.0, 2),
    _coin("1000FLOKI", "1", "1", "0.00001", 1_697_617_800_000, 0.055, 5.0, 5),
    _coin("1000RATS", "1", "1", "0.00001", 1_700_713_805_000, 0.02, 5.5, 2),
    _coin("1000CHEEMS", "10000", "0.1", "0.0000001", 1_732_536_900_000, 0.001, 5.5, 2),
    _coin("1000000MOG", "1", "1", "0.0001", 1_716_805_805_000, 0.4, 6.0, 3),
)
"""Coins that Blofin quotes by the thousand or the million; other venues by other numbers (see venues.py)."""

STOCK_LIKE_COINS: tuple[Coin, ...] = (
    _coin("TSLA", "0.01", "1", "0.01", 1_769_004_000_000, 410, 2.5, 5),
    _coin("XAU", "0.001", "1", "0.01", 1_769_004_000_000, 4_100, 1.0, 8),
)
"""Names that Blofin has given to other things than coins by 2026-03-18; all numbers are made up."""


# Made up: one that hardly trades, one not listed everywhere (local/story.py).
QUIET_COIN = _coin("QUIET", "1", "1", "0.0001", FIRST_LISTING_MS, 0.8, 5.5, 0.2)
NICHE_COIN = _coin("NICHE", "1", "1", "0.0001", FIRST_LISTING_MS, 0.35, 6.0, 4)


def made_up_coins(count: int, as_of_ms: int, seed: int = 0) -> list[Coin]:
    """``count`` further coins, MOCKAAA-USDT and so on, listed 3 to 1000 days before ``as_of_ms``.

    Every fourth listing time is off the minute grid, as on Blofin.
    """
    return list(islice(_mocks(as_of_ms, seed), count))


def _mocks(as_of_ms: int, seed: int) -> Iterator[Coin]:
    for number, letters in enumerate(product(ascii_uppercase, repeat=3)):
        rng = np.random.default_rng([seed, number])
        decimals = int(rng.integers(2, 6))
        listed_ms = as_of_ms - int(DAY_MS * 10 ** rng.uniform(0.5, 3.0))
        listed_ms -= listed_ms % 1_800_000
        yield _coin(
            "MOCK" + "".join(letters),
            contract_value=str(rng.choice(["0.1", "1", "10"])),
            lot_size=str(rng.choice(["0.1", "1"])),
            tick_size=f"{10**-decimals:.{decimals}f}",
            listed_ms=listed_ms + (5_000 if number % 4 == 0 else 0),
            price=float(2_000 * 10**-decimals * rng.uniform(1, 5)),
            volatility_pct=float(rng.uniform(4, 8)),
            turnover_millions=float(rng.uniform(0.5, 5)),
        )


def _asset(symbol: str, tick_size: str, lot_size: str, price: float, volatility_pct: float, millions: float) -> Coin:
    instrument = PaperInstrument(
        symbol, Decimal(1), Decimal(lot_size), Decimal(tick_size), FIRST_LISTING_MS, kind="spot"
    )
    return Coin(instrument, price, volatility_pct / 100, millions * 1e6)


# A stock and two currency pairs; traded around the clock.
STOCKS_AND_CURRENCIES: tuple[Coin, ...] = (
    _asset("AAPL", "0.01", "1", 260, 1.6, 9_000),
    _asset("EUR_USD", "0.00001", "1000", 1.16, 0.5, 200_000),
    _asset("USD_JPY", "0.001", "1000", 155, 0.6, 150_000),
)

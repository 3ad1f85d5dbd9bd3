"""One venue's view of a market: its own names, slightly other prices, its own volumes.

Differences depend on venue, instrument and minute only: any minute can be computed alone, and instances agree in every
digit. Prices stay on the tick, each minute opens at the previous close and is flat without trades, a higher bar is the
exact aggregate of its minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from backfill.domain.timeframes import MINUTE_MS
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.paper.bars import QUOTE_STEP, grouped, in_steps
from backfill.paper.market import NO_CANDLES, Candles, PaperInstrument, PaperMarket

BASIS_POINT = 1e-4
LOOK_BACK_MS = 64 * MINUTE_MS
VOLUME_SPREAD = 0.2  # a minute's share varies by up to 10 % either way


@dataclass(frozen=True)
class PaperListing:
    """How the venue names, scales and trades one instrument of the market.

    One unit of ``instrument`` is ``units`` units of the market's ``of``: 1000 for 1000PEPE against PEPE. Prices are
    ``units`` times higher, volumes in coins as much smaller, quote volumes equal. ``basis_bp`` is added to all prices.
    ``volume_share``: about that of the market's volume; None: exactly all of it.
    """

    instrument: PaperInstrument
    of: str
    units: Decimal = Decimal(1)
    basis_bp: float = 0.0
    volume_share: float | None = None


class VenueMarket(PaperMarket):
    """``listings`` of ``market``; ``difference_bp`` is the median price difference.

    The 99th percentile is 6.6 times the median. A listing without difference, basis and own volume is scaled bar by
    bar; other bars are aggregates of the venue's minutes.
    """

    def __init__(
        self, market: PaperMarket, venue: str, listings: Sequence[PaperListing], *, difference_bp: float = 1.0
    ) -> None:
        super().__init__([listing.instrument for listing in listings])
        self.shows_running_bars = market.shows_running_bars
        self.funding_intervals = market.funding_intervals
        self.market = market
        self.venue = venue
        self.difference_bp = difference_bp
        self._listings = {listing.instrument.symbol: listing for listing in listings}

    def describe(self) -> dict[str, object]:
        """The venue's listings and the market behind."""
        listed = {symbol: {"of": listing.of, "units": str(listing.units)} for symbol, listing in self._listings.items()}
        return {"kind": "venue", "venue": self.venue, "listings": listed, "of": self.market.describe()}

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> list[tuple[int, float]]:
        """See :meth:`PaperMarket.funding`."""
        return self.market.funding(self._listings[self.instrument(symbol).symbol].of, start_ms, end_ms)

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`."""
        listing = self._listings[self.instrument(symbol).symbol]
        if listing.volume_share is None and not self.difference_bp and not listing.basis_bp:
            there = self.market.candles(listing.of, timeframe, start_ms, end_ms, now_ms)
            nothing = np.zeros(len(there))
            return self._here(listing, there, nothing, nothing)
        bar = timeframe_named(timeframe)
        start_ms, end_ms = bar.ceil(start_ms), bar.ceil(end_ms)
        minutes = self._minutes(listing, start_ms, end_ms, now_ms)
        return minutes if bar.step_ms == MINUTE_MS else grouped(minutes, bar, listing.instrument)

    def _minutes(self, listing: PaperListing, start_ms: int, end_ms: int, now_ms: int | None) -> Candles:
        """The venue's minutes; the price difference changes only at a trade."""
        if start_ms >= end_ms:
            return NO_CANDLES
        there, first = self._with_a_trade_before(listing.of, start_ms, end_ms, now_ms)
        if first == len(there):
            return NO_CANDLES
        distances = self._distances(listing, there["open_ms"] + MINUTE_MS)
        last_trade = np.maximum.accumulate(np.where(there["base_volume"] > 0, np.arange(len(there)), -1))
        at_close = np.where(last_trade >= 0, distances[last_trade], 0.0)
        at_open = np.append(0.0, at_close[:-1])
        return self._here(listing, there[first:], at_open[first:], at_close[first:])

    def _with_a_trade_before(self, of: str, start_ms: int, end_ms: int, now_ms: int | None) -> tuple[Candles, int]:
        """The market's minutes from a trade before ``start_ms``, and the index of ``start_ms``."""
        back_ms = LOOK_BACK_MS
        while True:
            there = self.market.candles(of, "1m", start_ms - back_ms, end_ms, now_ms)
            first = int(np.searchsorted(there["open_ms"], start_ms))
            is_all = start_ms - back_ms <= self.market.instrument(of).listed_ms
            if is_all or (there["base_volume"][:first] > 0).any():
                return there, first
            back_ms *= 4

    def _here(
        self, listing: PaperListing, there: Candles, at_open: NDArray[np.float64], at_close: NDArray[np.float64]
    ) -> Candles:
        """The venue's bars, given log price differences at open and close."""
        instrument, units = listing.instrument, float(listing.units)
        basis = listing.basis_bp * BASIS_POINT
        here = there.copy()
        ends = np.stack([at_open, at_close])
        for column, distance in (
            ("open", at_open),
            ("close", at_close),
            ("high", ends.max(axis=0)),
            ("low", ends.min(axis=0)),
        ):
            price = in_steps(there[column] * units * np.exp(distance + basis), instrument.tick_size)
            here[column] = np.maximum(price, float(instrument.tick_size))
        coins = there["base_volume"] / units
        here["base_volume"] = in_steps(coins * self._shares(listing, there["open_ms"]), instrument.coin_step)
        traded = coins > 0
        here["base_volume"][traded] = np.maximum(here["base_volume"][traded], float(instrument.coin_step))
        if listing.volume_share is not None:
            share = np.divide(here["base_volume"], coins, out=np.zeros(len(there)), where=traded)
            quote = there["quote_volume"] * share * np.exp(ends.mean(axis=0) + basis)
            here["quote_volume"] = in_steps(quote, QUOTE_STEP)
        return here

    def _distances(self, listing: PaperListing, times_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        """Log of venue price / market price: Laplace distributed around 0."""
        uniform = self._uniform("price", listing, times_ms) - 0.5
        width = self.difference_bp * BASIS_POINT / float(np.log(2))
        distances: NDArray[np.float64] = -width * np.sign(uniform) * np.log1p(-2 * np.abs(uniform))
        return distances

    def _shares(self, listing: PaperListing, opens_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        if listing.volume_share is None:
            return np.ones(len(opens_ms))
        spread = VOLUME_SPREAD * (self._uniform("volume", listing, opens_ms) - 0.5)
        return listing.volume_share * (1 + spread)

    def _uniform(
        self, what: Literal["price", "volume"], listing: PaperListing, times_ms: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """A number in (0, 1) per minute: splitmix64 of the minute's number."""
        key = crc32(f"{self.venue}/{listing.instrument.symbol}/{what}".encode())
        mixed = ((times_ms // MINUTE_MS).astype(np.uint64) + np.uint64(key << 28)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53

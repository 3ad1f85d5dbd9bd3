"""Instruments and candles of a paper exchange, for every client and protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backfill.domain.timeframes import HOUR_MS
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.errors import UnknownSymbol

CANDLE = np.dtype(
    [
        ("open_ms", np.int64),
        ("open", np.float64),
        ("high", np.float64),
        ("low", np.float64),
        ("close", np.float64),
        ("base_volume", np.float64),
        ("quote_volume", np.float64),
    ]
)
"""One bar. Volumes in coins and in quote currency; NaN where the market does not know the quote volume."""

Candles = NDArray[np.void]
"""Bars of dtype :data:`CANDLE`, oldest first, one for each ``open_ms``."""

NO_CANDLES: Candles = np.empty(0, dtype=CANDLE)


Kind = Literal["linear", "inverse", "spot"]
FOREVER_MS = 10**15  # later than any bar
SATOSHI = Decimal("0.00000001")


@dataclass(frozen=True)
class PaperInstrument:
    """A linear perpetual (settled in its quote currency), an inverse one (settled in its coin) or a spot pair.

    ``symbol`` is our name in every market: ``BTC-USDT``, spot ``BTC-USDT-SPOT``. ``contract_value`` is in coins
    (inverse: quote currency; spot: 1), ``lot_size`` in contracts, ``tick_size`` in quote currency.
    """

    symbol: str
    contract_value: Decimal
    lot_size: Decimal
    tick_size: Decimal
    listed_ms: int
    max_leverage: int = 50
    kind: Kind = "linear"

    @property
    def base(self) -> str:
        """The coin: ``BTC`` of ``BTC-USDT``."""
        return self.symbol.partition("-")[0]

    @property
    def quote(self) -> str:
        """The quote currency: ``USDT`` of ``BTC-USDT``; dollars of a stock."""
        return self.symbol.partition("-")[2].partition("-")[0] or "USD"

    @property
    def settle(self) -> str:
        """The currency of profits; for spot the quote currency."""
        return self.base if self.kind == "inverse" else self.quote

    @property
    def coin_step(self) -> Decimal:
        """The step of volumes in coins."""
        return SATOSHI if self.kind == "inverse" else self.lot_size * self.contract_value


# Factors of mark and index prices, so that none is mistaken for another.
PRICE_SHARES = {"mark": 1.0004, "index": 0.9996}


def prices_of(candles: Candles, kind: str, tick_size: Decimal) -> Candles:
    """The bars' mark or index prices, on the tick, without volumes."""
    priced = candles.copy()
    decimals = max(0, -int(tick_size.normalize().as_tuple().exponent))
    for name in ("open", "high", "low", "close"):
        priced[name] = np.round(candles[name] * PRICE_SHARES[kind], decimals)
    priced["base_volume"] = priced["quote_volume"] = np.nan
    return priced


class PaperMarket(ABC):
    """A function of time: the same question at the same ``now_ms`` has the same answer.

    ``shows_running_bars``: whether the bar that has not ended is included.
    """

    shows_running_bars: bool = True
    # From when on which interval holds between funding payments, oldest first.
    funding_intervals: Sequence[tuple[int, int]] = ((0, 8 * HOUR_MS),)

    # Of stocks, oldest first: effective time, new shares per old one. Candles are as traded.
    splits: Mapping[str, Sequence[tuple[int, float]]] = MappingProxyType({})

    def __init__(self, instruments: Sequence[PaperInstrument]) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}

    @property
    def instruments(self) -> list[PaperInstrument]:
        """All instruments."""
        return list(self._instruments.values())

    def instrument(self, symbol: str) -> PaperInstrument:
        """The instrument of that name; raises :class:`UnknownSymbol`."""
        try:
            return self._instruments[symbol]
        except KeyError:
            raise UnknownSymbol(symbol, list(self._instruments)) from None

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> list[tuple[int, float]]:
        """The payments in [start_ms, end_ms), oldest first: ms and rate."""
        start_ms = max(start_ms, self.instrument(symbol).listed_ms + 1)
        ends = [since_ms for since_ms, _ in self.funding_intervals[1:]] + [end_ms]
        return [
            (paid_ms, ((paid_ms // HOUR_MS) % 17 - 6) / 100_000)
            for (since_ms, interval_ms), until_ms in zip(self.funding_intervals, ends, strict=True)
            for paid_ms in range(
                -(-max(since_ms, start_ms) // interval_ms) * interval_ms, min(until_ms, end_ms), interval_ms
            )
        ]

    @abstractmethod
    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """The bars that open in [start_ms, end_ms), as they are at ``now_ms``.

        No bar opens later, and the running bar, if shown, holds only what has traded. Without ``now_ms`` all are
        closed.
        """

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """This market as JSON values."""

    def newest(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, limit: int, now_ms: int) -> Candles:
        """The ``limit`` newest of the bars in :meth:`candles`, oldest first.

        A page counts bars, not time: it reaches back past missing ones.
        """
        bar = timeframe_named(timeframe)
        end_ms = min(end_ms, now_ms + 1)
        start_ms = max(start_ms, bar.floor(self.instrument(symbol).listed_ms))
        span_ms = limit * bar.step_ms
        while True:
            from_ms = max(start_ms, end_ms - span_ms)
            found = self.candles(symbol, timeframe, from_ms, end_ms, now_ms)
            if len(found) >= limit or from_ms == start_ms:
                return found[-limit:]
            span_ms *= 2

    def oldest(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, limit: int, now_ms: int) -> Candles:
        """The ``limit`` oldest of the bars in :meth:`candles`, past missing ones."""
        bar = timeframe_named(timeframe)
        end_ms = min(end_ms, now_ms + 1)
        start_ms = max(start_ms, bar.floor(self.instrument(symbol).listed_ms))
        span_ms = limit * bar.step_ms
        while True:
            to_ms = min(end_ms, bar.ceil(start_ms) + span_ms)
            found = self.candles(symbol, timeframe, start_ms, to_ms, now_ms)
            if len(found) >= limit or to_ms == end_ms:
                return found[:limit]
            span_ms *= 2


def split_adjusted(candles: Candles, splits: Sequence[tuple[int, float]], now_ms: int) -> Candles:
    """The bars at the scale after all splits so far."""
    adjusted = candles.copy()
    for split_ms, ratio in splits:
        if split_ms <= now_ms:
            before = adjusted["open_ms"] < split_ms
            for name in ("open", "high", "low", "close"):
                adjusted[name][before] /= ratio
            adjusted["base_volume"][before] *= ratio
    return adjusted


class SplitMarket(PaperMarket):
    """A market whose stocks have been split: ``market`` is at the scale after all of ``splits``."""

    def __init__(self, market: PaperMarket, splits: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        super().__init__(market.instruments)
        self.shows_running_bars = market.shows_running_bars
        self.splits = splits
        self._market = market

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`; as traded."""
        candles = self._market.candles(symbol, timeframe, start_ms, end_ms, now_ms)
        backwards = [(split_ms, 1 / ratio) for split_ms, ratio in self.splits.get(symbol, ())]
        return split_adjusted(candles, backwards, FOREVER_MS)

    def describe(self) -> dict[str, object]:
        """What is split, as JSON values."""
        return {"kind": "split", "of": self._market.describe(), "splits": dict(self.splits)}


class Without(PaperMarket):
    """``market`` where some instruments are not listed."""

    def __init__(self, market: PaperMarket, symbols: Collection[str]) -> None:
        super().__init__([one for one in market.instruments if one.symbol not in symbols])
        self.shows_running_bars = market.shows_running_bars
        self._market = market

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`."""
        self.instrument(symbol)
        return self._market.candles(symbol, timeframe, start_ms, end_ms, now_ms)

    def describe(self) -> dict[str, object]:
        """What is listed of the market behind, as JSON values."""
        return {"kind": "without", "symbols": list(self._instruments), "of": self._market.describe()}


class BesideIt(PaperMarket):
    """Two markets as one; of one name, the first has it."""

    def __init__(self, first: PaperMarket, second: PaperMarket) -> None:
        self._of = {one.symbol: market for market in (second, first) for one in market.instruments}
        super().__init__([market.instrument(symbol) for symbol, market in self._of.items()])
        self.shows_running_bars = first.shows_running_bars
        self._both = (first, second)

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`."""
        self.instrument(symbol)
        return self._of[symbol].candles(symbol, timeframe, start_ms, end_ms, now_ms)

    def describe(self) -> dict[str, object]:
        """Both, ready for JSON."""
        return {"kind": "both", "of": [market.describe() for market in self._both]}

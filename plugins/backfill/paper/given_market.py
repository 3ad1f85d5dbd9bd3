"""A market of given candles at their own times: real ones, or with planted faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import numpy as np

from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.paper.market import NO_CANDLES, Candles, PaperInstrument, PaperMarket

MOST_DECIMALS = 12


class GivenMarket(PaperMarket):
    """``given``: bars by symbol and timeframe, oldest first, one per open time.

    Nothing is filled or aggregated.
    """

    shows_running_bars = False

    def __init__(self, given: Mapping[tuple[str, str], Candles]) -> None:
        self._given = dict(given)
        symbols = sorted({symbol for symbol, _ in self._given})
        super().__init__([self._instrument_of(symbol) for symbol in symbols])

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`. Running bars are not shown: only their end is known."""
        self.instrument(symbol)
        bar = timeframe_named(timeframe)
        given = self._given.get((symbol, timeframe))
        if given is None:
            return NO_CANDLES
        if now_ms is not None:
            end_ms = min(end_ms, bar.last_closed_end(now_ms))
        first, past = np.searchsorted(given["open_ms"], [start_ms, end_ms])
        return given[first:past]

    def describe(self) -> dict[str, object]:
        """The number of candles of each series."""
        return {
            "kind": "given",
            "series": [
                {"symbol": symbol, "timeframe": timeframe, "candles": len(candles)}
                for (symbol, timeframe), candles in sorted(self._given.items())
            ],
        }

    def _instrument_of(self, symbol: str) -> PaperInstrument:
        """Listed at its first bar; one contract is one coin, so volumes appear as given."""
        own = [candles for (name, _), candles in self._given.items() if name == symbol]
        return PaperInstrument(
            symbol,
            contract_value=Decimal(1),
            lot_size=_unit(own, "base_volume"),
            tick_size=_unit(own, "close"),
            kind="spot" if symbol.endswith("-SPOT") else "linear",
            listed_ms=min(int(candles["open_ms"][0]) for candles in own),
        )


def _unit(own: Iterable[Candles], column: str) -> Decimal:
    """The largest power of ten, at most 1, that divides all values but for float noise."""
    values = np.concatenate([candles[column] for candles in own])
    for decimals in range(MOST_DECIMALS):
        if np.allclose(values, np.round(values, decimals), rtol=1e-9, atol=0):
            return Decimal(1).scaleb(-decimals)
    return Decimal(1).scaleb(-MOST_DECIMALS)

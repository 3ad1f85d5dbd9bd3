"""Markets seen through an exchange's mistakes: wrong cursor, wrong series, late replica."""

from __future__ import annotations

from collections.abc import Callable

from backfill.domain.timeframes import TIMEFRAMES
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.paper.market import Candles, PaperMarket

FURTHER_MS = Callable[[int, int], int]  # (bars in a page, bar length in ms) -> offset in ms


class WrongView(PaperMarket):
    """The market unchanged; each subclass makes one mistake."""

    def __init__(self, market: PaperMarket) -> None:
        super().__init__(market.instruments)
        self.shows_running_bars = market.shows_running_bars
        self._market = market

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`."""
        return self._market.candles(symbol, timeframe, start_ms, end_ms, now_ms)

    def describe(self) -> dict[str, object]:
        """The description of the market behind."""
        return self._market.describe()


class AtWrongCursor(WrongView):
    """Each page is the one at a cursor ``further_ms`` later."""

    def __init__(self, market: PaperMarket, further_ms: FURTHER_MS) -> None:
        super().__init__(market)
        self._further_ms = further_ms

    def newest(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, limit: int, now_ms: int) -> Candles:
        """See :meth:`PaperMarket.newest`."""
        by_ms = self._further_ms(limit, timeframe_named(timeframe).step_ms)
        end_ms = min(end_ms, now_ms + 1) + by_ms
        return self._market.newest(symbol, timeframe, start_ms + by_ms, end_ms, limit, now_ms)

    def oldest(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, limit: int, now_ms: int) -> Candles:
        """See :meth:`PaperMarket.oldest`."""
        by_ms = self._further_ms(limit, timeframe_named(timeframe).step_ms)
        return self._market.oldest(symbol, timeframe, start_ms + by_ms, end_ms + by_ms, limit, now_ms)


class OfOtherInstrument(WrongView):
    """Every instrument has the candles of ``other``, by default of the next of its kind."""

    def __init__(self, market: PaperMarket, other: str) -> None:
        super().__init__(market)
        if other:
            self.instrument(other)
        self._other = other

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`."""
        return self._market.candles(self._other or self._next(symbol), timeframe, start_ms, end_ms, now_ms)

    def _next(self, symbol: str) -> str:
        kind = self.instrument(symbol).kind
        alike = [instrument.symbol for instrument in self.instruments if instrument.kind == kind]
        return alike[(alike.index(symbol) + 1) % len(alike)]


class OfOtherTimeframe(WrongView):
    """Every timeframe has the bars of ``other``, by default of the next longer one."""

    def __init__(self, market: PaperMarket, other: str) -> None:
        super().__init__(market)
        self._other = other

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`."""
        names = list(TIMEFRAMES)
        other = self._other or names[(names.index(timeframe) + 1) % len(names)]
        return self._market.candles(symbol, other, start_ms, end_ms, now_ms)


class FromLateReplica(WrongView):
    """The newest ``bars`` ended bars and the running one are missing."""

    def __init__(self, market: PaperMarket, bars: int) -> None:
        super().__init__(market)
        self.shows_running_bars = False
        self._bars = bars

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`."""
        if now_ms is not None:
            bar = timeframe_named(timeframe)
            end_ms = min(end_ms, bar.floor(now_ms) - self._bars * bar.step_ms)
        return self._market.candles(symbol, timeframe, start_ms, end_ms, now_ms)

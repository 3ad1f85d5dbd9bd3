"""Which faults of one exchange are on, for whom and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from backfill.errors import ConfigurationError
from backfill.paper.faults import BARS, FAULTS
from backfill.paper.market import NO_CANDLES, Candles, Market

Clock = Callable[[], int]  # epoch milliseconds


@dataclass
class Switched:
    """One fault that is on. What is None does not narrow it.

    A fault of requests befalls ``requests_left`` more of them, of those about ``symbol`` whose path begins with
    ``path``. A fault of bars befalls those of one ``symbol`` and ``timeframe`` that open at ``opens_ms``; no
    others, so that a minute that is not there still counts in its hour. Symbols are our names for them.
    """

    name: str
    until_ms: int | None = None
    requests_left: int | None = None
    path: str = ""
    symbol: str | None = None
    timeframe: str | None = None
    opens_ms: frozenset[int] | None = None

    def is_over(self, now_ms: int) -> bool:
        return self.requests_left == 0 or (self.until_ms is not None and now_ms >= self.until_ms)

    def is_about(self, symbol: str | None) -> bool:
        return self.symbol is None or self.symbol == symbol

    def as_dict(self) -> dict[str, object]:
        opens_ms = None if self.opens_ms is None else sorted(self.opens_ms)
        return {**vars(self), "opens_ms": opens_ms}


class Switchboard:
    """Switches faults on and off while the exchange runs; ``clock`` is the exchange's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._switched: list[Switched] = []

    def on(
        self,
        name: str,
        *,
        seconds: float | None = None,
        requests: int | None = None,
        path: str = "",
        symbol: str | None = None,
        timeframe: str | None = None,
        opens_ms: Iterable[int] | None = None,
    ) -> Switched:
        """Switch a fault on, beside those that are on already: for some seconds or requests, else until off."""
        if name not in FAULTS:
            raise ConfigurationError(f"no fault is called {name!r}; known are {', '.join(FAULTS)}")
        if name in BARS and (requests is not None or path):
            raise ConfigurationError(f"{name} befalls bars: it cannot be narrowed to requests or a path")
        if name not in BARS and (timeframe is not None or opens_ms is not None):
            raise ConfigurationError(f"{name} befalls requests: it cannot be narrowed to a timeframe or bars")
        until_ms = None if seconds is None else self._clock() + round(1000 * seconds)
        opens = None if opens_ms is None else frozenset(int(open_ms) for open_ms in opens_ms)
        switched = Switched(name, until_ms, requests, path, symbol, timeframe, opens)
        self._switched = [*self._switched, switched]
        return switched

    def off(self, name: str | None = None) -> None:
        """Switch off the faults of that name; without one, all."""
        self._switched = [] if name is None else [one for one in self._switched if one.name != name]

    def are_on(self) -> list[Switched]:
        """Those that are not over, in the order they were switched on."""
        now_ms = self._clock()
        return [one for one in self._switched if not one.is_over(now_ms)]

    def is_on(self, switched: Switched) -> bool:
        return any(one is switched for one in self._switched) and (
            switched.until_ms is None or self._clock() < switched.until_ms
        )

    def befalling(self, path: str, symbol: str | None) -> Switched | None:
        """The first fault that befalls this request, which is one of those it befalls."""
        for one in self.are_on():
            if one.name not in BARS and path.startswith(one.path) and one.is_about(symbol):
                if one.requests_left is not None:
                    one.requests_left -= 1
                return one
        return None

    def seen(self, market: Market) -> Market:
        """``market`` with the bars as the faults leave them."""
        faults = [one for one in self.are_on() if one.name in BARS]
        return DamagedMarket(market, faults) if faults else market


class DamagedMarket(Market):
    """A market some of whose bars are missing, revised or nonsense."""

    def __init__(self, market: Market, faults: list[Switched]) -> None:
        super().__init__(market.instruments)
        self.shows_running_bars = market.shows_running_bars
        self._market = market
        self._faults = faults

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`Market.candles`; unlike there, an open time may come twice or lie off the grid."""
        faults = [one for one in self._faults if one.is_about(symbol) and one.timeframe in (None, timeframe)]
        if any(one.name == "missing" and one.opens_ms is None for one in faults):
            return NO_CANDLES  # a page looks for them in the whole history: do not make it up first
        bars = self._market.candles(symbol, timeframe, start_ms, end_ms, now_ms)
        for fault in faults:
            bars = _befallen(fault, bars)
        return bars

    def describe(self) -> dict[str, object]:
        return self._market.describe()


def _befallen(fault: Switched, bars: Candles) -> Candles:
    damage = BARS[fault.name]
    if fault.opens_ms is None:
        return damage(bars)
    hit = np.isin(bars["open_ms"], list(fault.opens_ms))
    return np.sort(np.concatenate([bars[~hit], damage(bars[hit])]), order="open_ms", kind="stable")

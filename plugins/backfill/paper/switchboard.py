"""Which faults of one exchange are on, and for how long."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from backfill.errors import ConfigurationError
from backfill.paper.faults import BARS, FAULTS
from backfill.paper.market import NO_CANDLES, Candles, PaperMarket
from backfill.paper.page_faults import PAGES, FaultyPage, PageDamage, dice_of

Clock = Callable[[], int]  # epoch milliseconds

_OF_REQUESTS = {"requests", "path", "after", "probability", "seed", "then"}
_OF_BARS = {"timeframe", "opens_ms"}
_OF_PAGES = {*_OF_REQUESTS, *_OF_BARS, "contains_ms", "rows", "share", "by", "keep", "value", "other"}


@dataclass
class Switched:
    """One fault that is on. Fields that are None do not narrow it. Symbols are our names.

    A request fault skips ``after`` requests about ``symbol`` on paths that begin with ``path``, then affects each with
    ``probability``, by dice of ``seed``. When ``requests_left`` is used up, the fault ``then`` follows for the same
    symbol and path.

    A page fault also needs a sound answer with candles of ``timeframe`` that spans ``contains_ms`` and holds one of
    ``opens_ms``; ``damage`` says what it does.

    A bar fault affects only bars of ``symbol`` and ``timeframe`` that open at ``opens_ms``: a missing minute still
    counts in its hour.
    """

    name: str
    until_ms: int | None = None
    requests_left: int | None = None
    path: str = ""
    symbol: str | None = None
    timeframe: str | None = None
    opens_ms: frozenset[int] | None = None
    after: int = 0
    probability: float | None = None
    seed: int = 0
    then: str | None = None
    contains_ms: int | None = None
    damage: PageDamage | None = None
    met: Counter[str] = field(default_factory=Counter, repr=False)  # times each question came

    def is_over(self, now_ms: int) -> bool:
        """Whether its time or its requests are used up."""
        return self.requests_left == 0 or (self.until_ms is not None and now_ms >= self.until_ms)

    def is_about(self, symbol: str | None) -> bool:
        """Whether it applies to requests about ``symbol``, our name."""
        return self.symbol is None or self.symbol == symbol

    def is_about_page(self, page: FaultyPage) -> bool:
        """Whether it applies to this page of candles."""
        return (
            bool(page.rows)
            and page.question.path.startswith(self.path)
            and self.is_about(page.true.symbol)
            and self.timeframe in (None, page.bar.name)
            and (self.contains_ms is None or page.contains(self.contains_ms))
            and (self.opens_ms is None or not self.opens_ms.isdisjoint(page.true_opens_ms))
        )

    def dice(self, question: str) -> random.Random:
        """New dice for a question, independent of other questions."""
        self.met[question] += 1
        return dice_of(self.seed, self.name, question, self.met[question])

    def takes(self, dice: random.Random) -> bool:
        """Whether it affects this matching request; counts the request."""
        if self.after:
            self.after -= 1
            return False
        if self.probability is not None and dice.random() >= self.probability:
            return False
        if self.requests_left is not None:
            self.requests_left -= 1
        return True

    def as_dict(self) -> dict[str, object]:
        """Its fields, ready for JSON."""
        opens_ms = None if self.opens_ms is None else sorted(self.opens_ms)
        damage = None if self.damage is None else asdict(self.damage)
        shown = {name: value for name, value in vars(self).items() if name != "met"}
        return {**shown, "opens_ms": opens_ms, "damage": damage}


class Switchboard:
    """Switches faults on and off while the exchange runs, by its ``clock``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._switched: list[Switched] = []
        self._switching = threading.Lock()  # tests switch in their thread, ``then`` in the server's

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
        after: int = 0,
        probability: float | None = None,
        seed: int = 0,
        then: str | None = None,
        contains_ms: int | None = None,
        **damage: Any,
    ) -> Switched:
        """Switch on another fault, for some seconds or requests, else until off.

        See :class:`Switched`; ``damage`` are fields of :class:`PageDamage`. :class:`ConfigurationError` for an unknown
        fault or unfit parameters.

            on("moved", by="-400d", requests=1, then="error_503")  # one old row in the newest page, then 503
        """
        opens = None if opens_ms is None else tuple(sorted(int(open_ms) for open_ms in opens_ms))
        given = {
            "requests": requests,
            "path": path or None,
            "timeframe": timeframe,
            "opens_ms": opens,
            "after": after or None,
            "probability": probability,
            "seed": seed or None,
            "then": then,
            "contains_ms": contains_ms,
            **damage,
        }
        _check(name, {key for key, value in given.items() if value is not None})
        if then is not None:
            _check(then, {"requests"})
            if requests is None:
                raise ConfigurationError(f"{name} is never used up: say after how many requests {then} begins")
        if probability is not None and not 0 <= probability <= 1:
            raise ConfigurationError(f"probability is between 0 and 1, not {probability}")
        switched = Switched(
            name,
            until_ms=None if seconds is None else self._clock() + round(1000 * seconds),
            requests_left=requests,
            path=path,
            symbol=symbol,
            timeframe=timeframe,
            opens_ms=None if opens is None else frozenset(opens),
            after=after,
            probability=probability,
            seed=seed,
            then=then,
            contains_ms=contains_ms,
            damage=PageDamage(name, opens_ms=opens, **damage) if name in PAGES else None,
        )
        with self._switching:
            self._switched = [*self._switched, switched]
        return switched

    def off(self, name: str | None = None) -> None:
        """Switch off the faults of that name, or all."""
        with self._switching:
            self._switched = [] if name is None else [one for one in self._switched if one.name != name]

    def are_on(self) -> list[Switched]:
        """Faults that are not over, in the order of switching."""
        now_ms = self._clock()
        return [one for one in self._switched if not one.is_over(now_ms)]

    def is_on(self, switched: Switched) -> bool:
        """Whether this fault is switched on and its time not over."""
        return any(one is switched for one in self._switched) and (
            switched.until_ms is None or self._clock() < switched.until_ms
        )

    def has_page_faults(self) -> bool:
        """Whether any page fault is on."""
        return any(one.damage is not None for one in self.are_on())

    def befalling(self, path: str, symbol: str | None) -> Switched | None:
        """The first fault that affects this request; counts the request."""
        for one in self.are_on():
            is_about = one.name not in (*BARS, *PAGES) and path.startswith(one.path) and one.is_about(symbol)
            if is_about and self._takes(one, one.dice(f"{path} {symbol}")):
                return one
        return None

    def befalling_page(self, page: FaultyPage) -> list[tuple[PageDamage, random.Random]]:
        """All faults that affect this page, with the dice that choose rows."""
        befallen = []
        for one in self.are_on():
            if one.damage is not None and one.is_about_page(page):
                dice = one.dice(f"{page.true.symbol} {page.bar.name} {page.true_opens_ms[0]}")
                if self._takes(one, dice):
                    befallen.append((one.damage, dice))
        return befallen

    def _takes(self, one: Switched, dice: random.Random) -> bool:
        takes = one.takes(dice)
        if takes and one.requests_left == 0 and one.then is not None:
            self.on(one.then, path=one.path, symbol=one.symbol)
        return takes

    def seen(self, market: PaperMarket) -> PaperMarket:
        """``market`` with the bar faults that are on."""
        faults = [one for one in self.are_on() if one.name in BARS]
        return DamagedMarket(market, faults) if faults else market


def _check(name: str, narrowed_by: set[str]) -> None:
    """Raise :class:`ConfigurationError` unless the fault exists and can be narrowed so."""
    if name not in FAULTS:
        raise ConfigurationError(f"no fault is called {name!r}; known are {', '.join(FAULTS)}")
    befalls, allowed = ("requests", _OF_REQUESTS)
    if name in BARS:
        befalls, allowed = ("bars", _OF_BARS)
    elif name in PAGES:
        befalls, allowed = ("pages", _OF_PAGES)
    if narrowed_by - allowed:
        unfit = ", ".join(sorted(narrowed_by - allowed))
        raise ConfigurationError(f"{name} befalls {befalls}: it cannot be narrowed by {unfit}")


class DamagedMarket(PaperMarket):
    """A market with missing, revised or invalid bars."""

    def __init__(self, market: PaperMarket, faults: list[Switched]) -> None:
        super().__init__(market.instruments)
        self.shows_running_bars = market.shows_running_bars
        self.splits = market.splits
        self._market = market
        self._faults = faults

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        """See :meth:`PaperMarket.candles`; here open times may repeat or lie off the grid."""
        faults = [one for one in self._faults if one.is_about(symbol) and one.timeframe in (None, timeframe)]
        if any(one.name == "missing" and one.opens_ms is None for one in faults):
            return NO_CANDLES  # newest() searches the whole history: do not compute it first
        bars = self._market.candles(symbol, timeframe, start_ms, end_ms, now_ms)
        for fault in faults:
            bars = _befallen(fault, bars)
        return bars

    def describe(self) -> dict[str, object]:
        """The description of the undamaged market."""
        return self._market.describe()


def _befallen(fault: Switched, bars: Candles) -> Candles:
    damage = BARS[fault.name]
    if fault.opens_ms is None:
        return damage(bars)
    hit = np.isin(bars["open_ms"], list(fault.opens_ms))
    return np.sort(np.concatenate([bars[~hit], damage(bars[hit])]), order="open_ms", kind="stable")

"""The contract of a registered source: what it gets, what it gives, and how it is registered.

A source has a :class:`Venue`, the row that describes it, a :class:`CandleClient`, which requests candles, and a
:class:`RegisteredSource` that joins both and is named by an entry point of the group ``backfill.sources``. See
docs/write_a_source.md; `backfill.testing.source_contract` checks an implementation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, runtime_checkable

import requests

from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.splits import Split
from backfill.domain.timeframes import DAY_MS, Timeframe
from backfill.domain.venues import Venue
from backfill.errors import BadPayload, RateLimited

TRIES = 3


class Bar(NamedTuple):
    """One bar as sent: numbers or decimal text; None: unknown.

    ``volume``: in the unit that the source's row names. ``closed``: False if the source says that the bar is running;
    the clock decides too.
    """

    open_ms: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    quote_volume: Any = None
    closed: bool = True


# For a row of unknown shape: only this row is refused, not its page.
UNREADABLE_BAR = Bar("broken row", "broken row", "broken row", "broken row", "broken row", "broken row")


def of_window(bars: Sequence[Bar], window: Interval, now_ms: int) -> list[Bar]:
    """The bars of ``window`` out of an answer that rightly holds others, oldest first.

    All of them if their times are out of order or in the future, so that a moved row is noticed.
    """
    times = [bar.open_ms for bar in bars if bar is not UNREADABLE_BAR]
    if not all(isinstance(one, int) for one in times) or any(a >= b for a, b in pairwise(times)):
        return list(bars)
    if times and times[-1] > now_ms:
        return list(bars)
    return [bar for bar in bars if bar is UNREADABLE_BAR or window.start <= bar.open_ms < window.end]


def split_on(source: str, row: Any, date: str, new: str, old: str | None = None) -> Split:
    """A split of a list, by its column names; shares trade after it from the first session of its date on."""
    try:
        day_ms = round(datetime.strptime(row[date], "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp() * 1000)
        ratio = float(row[new]) / (1.0 if old is None else float(row[old]))
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise BadPayload(source, f"a split that cannot be read: {error!r:.80}") from error
    if not 0 < ratio < math.inf:
        raise BadPayload(source, f"a split that cannot be: {ratio}")
    return Split(ratio, day_ms - 1, day_ms + DAY_MS)


class BarsAnswer(NamedTuple):
    """The bars of one window, in the source's order, with strangers and malformed ones.

    ``server_ms``: the source's clock; None: unknown. In ``covers`` (None: the whole window) a bar without a row does
    not exist at the source; an answer that may have been cut short covers less. ``decided_ms``: bars that open from
    then on may still come from a delayed source. ``has_volume``: False if it has none, or counts otherwise.
    """

    bars: Sequence[Bar]
    server_ms: int | None
    latency_ms: float
    covers: Interval | None = None
    decided_ms: int | None = None
    has_volume: bool = True


@dataclass(frozen=True, kw_only=True)
class SourceAccess:
    """What a client gets from outside.

    ``before_request`` takes a turn in the rate budget and may sleep or raise: call it before each request. ``on_limit``
    gets every :class:`RateLimited`. ``api_key``, ``api_secret`` and ``options`` are the login, the password and the
    extra's ``options`` of the source's connection. ``splits``: whether prices of a stock are to be ``adjusted`` for
    splits or ``raw``; None: it has none.
    """

    session: requests.Session
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_secret: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout_s: float = 10.0
    before_request: Callable[[], None] = lambda: None
    on_limit: Callable[[RateLimited], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    tries: int = TRIES
    splits: str | None = None

    @property
    def key(self) -> str | None:
        """The only key of a source: the password, else the login."""
        return self.api_secret or self.api_key


@runtime_checkable
class KnowsItsReach(Protocol):
    """A client whose reach depends on more than the row, such as its plan."""

    def serves_from_ms(self, timeframe: Timeframe) -> int | None:
        """The oldest open time worth requesting now; None: no known bound. Makes no request."""
        ...


@runtime_checkable
class ListsSplits(Protocol):
    def splits(self, venue_symbol: str) -> list[Split]:
        """All splits of a stock so far; raises an :class:`ExchangeError`."""
        ...


class CandleClient(Protocol):
    """Thread-safe. Every failure is an :class:`ExchangeError`, never an empty answer."""

    requests_made: int
    server_ms: int | None

    def markets(self) -> list[Market]:
        """Every market that can be stored. Not called if the row has ``market_named``."""
        ...

    def bars(self, venue_symbol: str, timeframe: Timeframe, window: Interval) -> BarsAnswer:
        """The bars of a market that open in ``window`` (ms, on the grid), at most a page."""
        ...

    def close(self) -> None:
        """Close its own connections, not the session."""
        ...


@dataclass(frozen=True)
class RegisteredSource:
    """Its row, and what makes its client."""

    venue: Venue
    open: Callable[[SourceAccess], CandleClient]

"""A source as the jobs see it: ask it for a page, get sound rows, broken rows, and what it denies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from backfill.domain.candle_rules import BrokenRow
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.timeframes import Timeframe

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CandlePage:
    """One answer to "what opens before ``after_ms``?".

    ``sound``: checked closed rows, oldest first (``open_ms`` int64, prices, volumes). ``running_ms``: open times of
    checked rows whose bars are not over yet. ``broken``: rows that may not be stored; ``rows`` has them as they came.
    ``oldest_ms``: where the next page starts; ``newest_ms``: the newest row that can be believed; None: there is none.
    ``covers``: the span the answer speaks for: a bar in it without a row does not exist at the source. None: it speaks
    for nothing, since no row can be believed, or, without ``rows``, since the source has nothing older.
    ``server_ms``: the source's clock. ``latency_ms``: from question to answer.
    """

    after_ms: int
    rows: Sequence[Any]
    sound: pd.DataFrame
    broken: list[BrokenRow]
    oldest_ms: int | None
    newest_ms: int | None
    server_ms: int | None
    latency_ms: float
    running_ms: Sequence[int] = ()
    covers: Interval | None = None

    @property
    def is_the_end(self) -> bool:
        """Whether the source says that it has nothing older than the cursor."""
        return self.covers is None and not self.rows


class CandleSource(Protocol):
    """Who runtime candles. ``ask`` is called from several threads at once."""

    @property
    def name(self) -> str: ...

    @property
    def rows_per_page(self) -> int: ...

    @property
    def requests_made(self) -> int: ...

    def serves_from_ms(self) -> int | None:
        """The oldest open time worth asking for now; None: no bound is known."""
        ...

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        """The newest page of bars that open before ``after_ms``; raises an :class:`ExchangeError`."""
        ...

    def close(self) -> None: ...


class MarketClient(Protocol):
    """What a source's client can say of its markets."""

    @property
    def requests_made(self) -> int: ...

    @property
    def server_ms(self) -> int | None:
        """The source's clock by its last answer; None: not known."""
        ...

    def markets(self) -> list[Market]:
        """Every market of the kinds that may be kept; raises an :class:`ExchangeError`."""
        ...

    def close(self) -> None: ...


def is_over(candles: pd.DataFrame, timeframe: Timeframe, server_ms: int | None, settle_ms: int) -> pd.Series:
    """The mask of the bars that have ended, by the source's own word and by its clock."""
    if server_ms is None:
        return candles["closed"]
    return candles["closed"] & (candles["open_ms"] + timeframe.step_ms <= server_ms - settle_ms)

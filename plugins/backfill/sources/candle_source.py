"""A source as the jobs see it: ask it for a page, get sound rows, broken rows, and what it speaks for."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from backfill.domain.answers import bar_intervals, silent
from backfill.domain.candle_rules import (
    BrokenRow,
    open_time_is_in_the_future,
    open_time_is_missing,
    open_time_is_off_the_grid,
    open_time_is_told_twice,
    open_time_was_not_asked_for,
    sift,
)
from backfill.domain.intervals import Interval
from backfill.domain.markets import Market
from backfill.domain.page_order import out_of_order
from backfill.domain.timeframes import Timeframe

if TYPE_CHECKING:
    import pandas as pd


# The rules of rows whose time is shown to be wrong: the minute of such a row is vacant, and not silent.
TIME_RULES = frozenset(
    rule.__name__
    for rule in (
        open_time_is_missing,
        open_time_is_off_the_grid,
        open_time_is_in_the_future,
        open_time_was_not_asked_for,
        open_time_is_told_twice,
    )
)
OUT_OF_ORDER = "open_time_is_out_of_order"


@dataclass(frozen=True)
class CandlePage:
    """One answer to "what opens before ``after_ms``?".

    ``sound``: checked closed rows, oldest first (``open_ms`` int64, prices, volumes). ``running_ms``: open times of
    checked rows whose bars are not over yet. ``broken``: rows that may not be stored; ``rows`` has them as they came.
    ``oldest_ms``: where the next page starts; ``newest_ms``: the newest row that can be believed; None: there is none.
    ``covers``: the span the answer speaks for: a bar in it without a row does not exist at the source. None: it speaks
    for nothing, since no row can be believed, or, without ``rows``, since the source has nothing older.
    ``server_ms``: the source's clock. ``latency_ms``: from question to answer.
    ``is_clean``: no row's time is shown to be wrong. Of a page that is not, the silence means nothing.
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
    is_clean: bool = True

    @property
    def now_ms(self) -> int:
        """The source's clock, or ours."""
        return self.server_ms if self.server_ms is not None else round(time.time() * 1000)

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

    @property
    def counts_forward(self) -> bool:
        """Whether a page is a window of the grid, which may be cut at either end; else it ends before the cursor."""
        ...

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


def silent_in(page: CandlePage, span: Interval, timeframe: Timeframe) -> list[Interval]:
    """The bars of ``span`` that a page speaks for and has no row of. None if its times are wrong: they are vacant."""
    if page.covers is None or page.newest_ms is None or not page.is_clean:
        return []
    return silent(
        window=span,
        asked_before_ms=page.covers.end,
        oldest_ms=page.covers.start,
        newest_ms=page.newest_ms,
        given=bar_intervals(page.sound["open_ms"].to_numpy(), timeframe.step_ms),
        doubtful_ms=[*page.running_ms, *(row.open_ms for row in page.broken if row.open_ms is not None)],
        timeframe=timeframe,
        now_ms=page.now_ms,
    )


def sift_page(
    frame: pd.DataFrame, timeframe: Timeframe, before_ms: float, now_ms: float
) -> tuple[pd.DataFrame, list[BrokenRow], bool]:
    """The sound rows in order, the broken ones, and whether all times can be believed."""
    sound, broken = sift(frame, timeframe, before_ms, now_ms)
    refused = {row.place for row in broken if row.rule in TIME_RULES and row.rule != open_time_is_told_twice.__name__}
    told = frame["open_ms"]
    told = told[told.notna() & ~told.index.isin(refused)].astype("int64")
    # The same row said twice may stand anywhere.
    told = told[~told.duplicated()]
    misplaced = told.iloc[sorted(out_of_order(told.tolist()))]
    sound, broken = refuse_times(frame, sound, broken, misplaced.tolist(), OUT_OF_ORDER)
    is_clean = misplaced.empty and not any(row.rule in TIME_RULES or row.open_ms is None for row in broken)
    return sound, broken, is_clean


def refuse_times(
    frame: pd.DataFrame, sound: pd.DataFrame, broken: list[BrokenRow], open_ms: Collection[int], rule: str
) -> tuple[pd.DataFrame, list[BrokenRow]]:
    """The sound rows of other times, and the broken ones with every row of ``frame`` that has one of these."""
    have_a_rule = {row.place for row in broken}
    refused = frame["open_ms"][frame["open_ms"].isin(open_ms) & ~frame.index.isin(have_a_rule)]
    more = [BrokenRow(int(str(place)), int(ms), rule) for place, ms in refused.items()]
    return sound[~sound["open_ms"].isin(open_ms)].reset_index(drop=True), [*broken, *more]


def is_over(candles: pd.DataFrame, timeframe: Timeframe, server_ms: int | None, settle_ms: int) -> pd.Series:
    """The mask of the bars that have ended, by the source's own word and by its clock."""
    if server_ms is None:
        return candles["closed"]
    return candles["closed"] & (candles["open_ms"] + timeframe.step_ms <= server_ms - settle_ms)

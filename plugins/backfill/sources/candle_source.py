"""The interface of a source, and the page of candles that it returns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from backfill.domain.answers import bar_intervals, silent
from backfill.domain.candle_columns import CandleFrame
from backfill.domain.candle_rules import (
    BrokenRow,
    open_time_is_in_the_future,
    open_time_is_missing,
    open_time_is_off_the_grid,
    open_time_is_told_twice,
    open_time_was_not_asked_for,
    sift,
)
from backfill.domain.intervals import Interval, difference, intersection, union
from backfill.domain.markets import Market
from backfill.domain.page_order import out_of_order
from backfill.domain.page_plan import PlannedPage
from backfill.domain.shifted_rows import OPEN_TIME_OF_ANOTHER_BAR
from backfill.domain.timeframes import Timeframe

if TYPE_CHECKING:
    import pandas as pd


# Of rows with a wrong time: their bars are not silent.
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
# These rows name no bar that was asked for.
RULES_WITHOUT_A_BAR = frozenset(
    {OUT_OF_ORDER, OPEN_TIME_OF_ANOTHER_BAR, *TIME_RULES} - {open_time_is_told_twice.__name__}
)


@dataclass(frozen=True)
class CandlePage:
    """The answer to a request for bars that open before ``after_ms``.

    ``candles``: checked closed rows, oldest first (``open_ms`` int64, prices, volumes, ``place`` in ``rows``).
    ``running_ms``: open times of running bars. ``broken``: rejected rows, raw in ``rows``. ``oldest_ms``: where the
    next page starts. ``newest_ms``: newest credible row. In ``covers`` a bar without a row does not exist at the
    source; None: no row is credible or, without ``rows``, nothing older exists. ``is_clean``: no time is known to be
    wrong; else missing bars prove nothing.
    """

    after_ms: int
    rows: Sequence[Any]
    candles: CandleFrame
    broken: list[BrokenRow]
    oldest_ms: int | None
    newest_ms: int | None
    server_ms: int | None
    latency_ms: float
    running_ms: Sequence[int] = ()
    covers: Interval | None = None
    is_clean: bool = True

    @cached_property
    def sound(self) -> pd.DataFrame:
        """``candles`` as a pandas frame."""
        return self.candles.to_pandas()

    @property
    def now_ms(self) -> int:
        """The source's clock, or ours."""
        return self.server_ms if self.server_ms is not None else round(time.time() * 1000)

    @property
    def is_the_end(self) -> bool:
        """Whether nothing is older than the cursor."""
        return self.covers is None and not self.rows


class CandleSource(Protocol):
    """``ask`` is called from several threads."""

    @property
    def name(self) -> str: ...

    @property
    def rows_per_page(self) -> int: ...

    @property
    def requests_made(self) -> int:
        """Requests so far, retries included."""
        ...

    @property
    def counts_forward(self) -> bool:
        """Whether a page is a window, possibly cut at either end; else it ends at the cursor."""
        ...

    def serves_from_ms(self) -> int | None:
        """The oldest open time worth requesting now; None: no known bound."""
        ...

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        """The newest page of bars that open before ``after_ms``; raises an :class:`ExchangeError`."""
        ...

    def close(self) -> None:
        """Close its own connections."""
        ...


@runtime_checkable
class PlansItsPages(Protocol):
    """A source whose pages are files, not cut anywhere from the grid."""

    def plan(self, gaps: Sequence[Interval]) -> list[PlannedPage]:
        """The fewest requests for ``gaps``, newest first; it may leave some to the next source."""
        ...


class MarketClient(Protocol):
    """A client that lists a source's markets."""

    @property
    def requests_made(self) -> int: ...

    @property
    def server_ms(self) -> int | None:
        """The source's clock by its last answer; None: unknown."""
        ...

    def markets(self) -> list[Market]:
        """Every market that can be stored; raises an :class:`ExchangeError`."""
        ...

    def close(self) -> None:
        """Close its own connections."""
        ...


def silent_in(page: CandlePage, span: Interval, timeframe: Timeframe) -> list[Interval]:
    """The bars of ``span`` that a page shows to be absent."""
    if page.covers is None or page.newest_ms is None or not page.is_clean:
        return []
    return silent(
        window=span,
        asked_before_ms=page.covers.end,
        oldest_ms=page.covers.start,
        newest_ms=page.newest_ms,
        given=bar_intervals(page.candles["open_ms"], timeframe.step_ms),
        doubtful_ms=[*page.running_ms, *(row.open_ms for row in page.broken if row.open_ms is not None)],
        timeframe=timeframe,
        now_ms=page.now_ms,
    )


def refused_in(page: CandlePage, span: Interval, timeframe: Timeframe) -> list[Interval]:
    """The bars of ``span`` whose only rows on the page broke a rule; none if a row may belong to another bar."""
    if page.covers is None:
        return []
    known = set(page.candles["open_ms"].tolist())
    broken = [row.open_ms for row in page.broken if row.open_ms is not None and row.rule not in RULES_WITHOUT_A_BAR]
    refused = union(Interval(ms, ms + timeframe.step_ms) for ms in set(broken) - known if timeframe.floor(ms) == ms)
    if not page.is_clean:
        only_doubled = all(row.rule not in RULES_WITHOUT_A_BAR and row.open_ms is not None for row in page.broken)
        given = union([*bar_intervals(page.candles["open_ms"], timeframe.step_ms), *refused])
        if not only_doubled or difference([page.covers], given):
            return []  # a row moved onto another's bar has left a hole
    return intersection(refused, [span])


def sift_page(
    frame: CandleFrame, timeframe: Timeframe, before_ms: float, now_ms: float, *, has_volume: bool = True
) -> tuple[CandleFrame, list[BrokenRow], bool]:
    """The sound rows in order, the broken ones, and whether all times are credible."""
    sound, broken = sift(frame, timeframe, before_ms, now_ms, has_volume=has_volume)
    refused = [row.place for row in broken if row.rule in TIME_RULES and row.rule != open_time_is_told_twice.__name__]
    is_told = ~np.isnan(frame["open_ms"])
    is_told[refused] = False
    told = frame["open_ms"][is_told].astype(np.int64)
    # A repeated row may stand anywhere.
    told = told[np.sort(np.unique(told, return_index=True)[1])]
    misplaced = told[sorted(out_of_order(told.tolist()))].tolist()
    sound, broken = refuse_times(frame, sound, broken, misplaced, OUT_OF_ORDER)
    is_clean = not misplaced and not any(row.rule in TIME_RULES or row.open_ms is None for row in broken)
    return sound, broken, is_clean


def refuse_times(
    frame: CandleFrame, sound: CandleFrame, broken: list[BrokenRow], open_ms: Sequence[int], rule: str
) -> tuple[CandleFrame, list[BrokenRow]]:
    """Move rows of these open times to the broken ones."""
    if not open_ms:
        return sound, broken
    is_refused = np.isin(frame["open_ms"], open_ms)
    is_refused[[row.place for row in broken]] = False
    more = [BrokenRow(place, int(frame["open_ms"][place]), rule) for place in is_refused.nonzero()[0].tolist()]
    return sound.rows(~np.isin(sound["open_ms"], open_ms)), [*broken, *more]


def is_over(candles: CandleFrame, timeframe: Timeframe, server_ms: int | None, settle_ms: int) -> NDArray[np.bool_]:
    """Mask of bars that have ended, by the source's flag and its clock."""
    closed: NDArray[np.bool_] = candles["closed"]
    if server_ms is None:
        return closed
    return closed & (candles["open_ms"] + timeframe.step_ms <= server_ms - settle_ms)

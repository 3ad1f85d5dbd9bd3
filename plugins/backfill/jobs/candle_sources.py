"""A source as the jobs see it: ask it for a page, get sound rows, broken rows, and what it denies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from backfill.domain.candle_rules import BrokenRow, open_time_was_not_asked_for, sift
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import Timeframe
from backfill.exchanges.blofin_client import BARS, ROWS_PER_PAGE, SOURCE, BlofinClient
from backfill.frames.blofin_frame import blofin_frame

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
    """Who supplies candles. ``ask`` is called from several threads at once."""

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


class BlofinSource:
    """Blofin over its REST API: the home of most instruments."""

    name = SOURCE

    def __init__(self, client: BlofinClient, rows_per_page: int = ROWS_PER_PAGE, settle_ms: int = 0) -> None:
        self.rows_per_page = rows_per_page
        self._client = client
        self._settle_ms = settle_ms

    @property
    def requests_made(self) -> int:
        return self._client.requests_made

    def serves_from_ms(self) -> int | None:
        return None  # back to the listing (logs of djorgens2/blofin-data; a year of minutes seen)

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        answer = self._client.candles(symbol, BARS[timeframe.name], after_ms, self.rows_per_page)
        frame = blofin_frame(answer.data)
        now_ms = math.inf if answer.server_ms is None else answer.server_ms
        # "after: records earlier than the requested ts" (Blofin docs): nothing else may come.
        sound, broken = sift(frame, timeframe, before_ms=after_ms, now_ms=now_ms)
        open_ms = sound["open_ms"]
        over = is_over(sound, timeframe, answer.server_ms, self._settle_ms)
        # A page of nothing but newer bars is no page that none can believe: it does not lead back.
        told = open_ms.tolist() or sorted(
            row.open_ms for row in broken if row.rule == open_time_was_not_asked_for.__name__ and row.open_ms
        )
        return CandlePage(
            after_ms=after_ms,
            rows=answer.data,
            sound=sound[over].reset_index(drop=True),
            broken=broken,
            oldest_ms=told[0] if told else None,
            newest_ms=told[-1] if told else None,
            server_ms=answer.server_ms,
            latency_ms=answer.latency_ms,
            running_ms=open_ms[~over].tolist(),
            covers=Interval(min(told[0], after_ms), after_ms) if told else None,
        )


def is_over(candles: pd.DataFrame, timeframe: Timeframe, server_ms: int | None, settle_ms: int) -> pd.Series:
    """The mask of the bars that have ended, by the source's own word and by its clock."""
    if server_ms is None:
        return candles["closed"]
    return candles["closed"] & (candles["open_ms"] + timeframe.step_ms <= server_ms - settle_ms)

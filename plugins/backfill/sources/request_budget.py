"""What one attempt on one series may spend, so that a run ends before the next is due and no symbol starves another."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from backfill.domain.fair_share import fair_share
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection, SeriesWindow


@dataclass(frozen=True)
class RunBudget:
    """No page is asked for after ``until``, and no more than ``most_requests`` of one source; None: no bound."""

    until: datetime | None = None
    most_requests: int | None = None

    @property
    def is_over(self) -> bool:
        return self.until is not None and time.time() >= self.until.timestamp()


UNLIMITED = RunBudget()


def fair_budget(
    store: CandleStore,
    window: SeriesWindow,
    which: Selection,
    *,
    primary: str,
    until: datetime | None,
    limits_per_period_s: tuple[tuple[int, int], ...],
    rows_per_page: int,
) -> RunBudget:
    """The share of one series in what ``primary`` answers until then, if all that ``which`` selects needs more.

    Symbols share alike, and so do the timeframes of a symbol. What others do not need, or have had, is free for all:
    the shares are worked out when they are taken.
    """
    if until is None:
        return UNLIMITED
    seconds = max(0.0, until.timestamp() - time.time())
    capacity = int(seconds * min(limit / period_s for limit, period_s in limits_per_period_s))
    needed = store.run_log.requests_needed(which, primary, rows_per_page)
    of_symbol: Counter[str] = Counter()
    for one in needed:
        of_symbol[one.symbol] += one.pages
    if sum(of_symbol.values()) <= capacity:
        return RunBudget(until)
    share = fair_share(of_symbol, capacity).get(window.symbol, 0)
    own = {one.timeframe: one.pages for one in needed if one.symbol == window.symbol}
    return RunBudget(until, fair_share(own, share).get(window.timeframe, 0))

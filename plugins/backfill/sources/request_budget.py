"""What one attempt on one series may spend: runs end in time, symbols share fairly."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from backfill.domain.fair_share import fair_share
from backfill.domain.venues import DAY_S
from backfill.sources.stop_request import StopRequest
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection, SeriesWindow


@dataclass(frozen=True)
class RunBudget:
    """No request after ``until`` or ``stop``, and at most ``most_requests`` to one source; None: no bound."""

    until: datetime | None = None
    most_requests: int | None = None
    stop: StopRequest = field(default_factory=StopRequest, compare=False)

    @property
    def is_over(self) -> bool:
        return self.stop.is_asked or (self.until is not None and time.time() >= self.until.timestamp())


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
    """One series' share of what ``primary`` can answer by ``until``, if ``which`` needs more in all.

    Symbols share equally, then the timeframes of a symbol. Shares are computed when taken, so unused ones are free.
    """
    if until is None:
        return UNLIMITED
    seconds = max(0.0, until.timestamp() - time.time())
    # A day's quota may be spent at once.
    spans = ((limit, max(seconds, period_s) if period_s >= DAY_S else seconds, period_s)
             for limit, period_s in limits_per_period_s)  # fmt: skip
    capacity = int(min(limit * span_s / period_s for limit, span_s, period_s in spans))
    needed = store.run_log.requests_needed(which, primary, rows_per_page)
    of_symbol: Counter[str] = Counter()
    for one in needed:
        of_symbol[one.symbol] += one.pages
    if sum(of_symbol.values()) <= capacity:
        return RunBudget(until)
    share = fair_share(of_symbol, capacity).get(window.symbol, 0)
    own = {one.timeframe: one.pages for one in needed if one.symbol == window.symbol}
    return RunBudget(until, fair_share(own, share).get(window.timeframe, 0))

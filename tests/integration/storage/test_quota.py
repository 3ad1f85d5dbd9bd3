"""A quota of a day in the shared budget: never exceeded, never waited for, and never taken in advance."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from backfill.errors import RateLimited
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.rate_budget import RateBudget

DAY = ((25, 24 * 3600),)


def budget_of(uri: str, source_id: int) -> RateBudget:
    return RateBudget(connect(uri), "alphavantage", source_id, DAY, sleep=lambda _: None)


def test_four_at_once_never_exceed_it(store: CandleStore, database_uri: str) -> None:
    source_id = store.source_id("alphavantage")
    budgets = [budget_of(database_uri, source_id) for _ in range(4)]

    def ask_until_refused(budget: RateBudget) -> int:
        for asked in range(100):
            try:
                budget.take_turn()
            except RateLimited:  # noqa: PERF203
                return asked
        return 100

    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(ask_until_refused, budgets))
    assert sum(taken) == 25
    # Refusals left nothing behind: the twenty-sixth turn is as far away as before.
    with pytest.raises(RateLimited, match="quota") as refused:
        budgets[0].take_turn()
    assert 23 * 3600 < refused.value.retry_after_s <= 25 * 3600
    for budget in budgets:
        budget._connection.close()

"""Share symbols among tasks by their work."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

# Up to this many tasks each symbol has one of its own: easy to find, to clear and to run beside others.
FEW_TASKS = 16
# Beyond, a task gets work that is worth its own cost: Airflow spends on a task as much CPU as 30 pages take.
REQUESTS_A_TASK = 30
# A page, roughly: of it depends only how even the shares are.
ROWS_A_REQUEST = 1000


def requests_for(candles: int) -> int:
    """About as many requests as a series with this many bars to fetch needs."""
    return 1 + candles // ROWS_A_REQUEST


def share_work(requests_of: Mapping[str, int], most_items: int, symbols_per_task: int | None = None) -> list[str]:
    """Items for a mapped task: a symbol, or several joined by commas, in the order of ``requests_of``.

    ``symbols_per_task``: None: as many as makes the shares even and worth a task.
    """
    if symbols_per_task is None:
        wanted = max(FEW_TASKS, -(-sum(requests_of.values()) // REQUESTS_A_TASK))
    else:
        wanted = -(-len(requests_of) // symbols_per_task)
    items = min(wanted, most_items, len(requests_of))
    shares: list[list[str]] = [[] for _ in range(items)]
    least_first = [(0, item) for item in range(items)]
    for symbol in sorted(requests_of, key=lambda symbol: -requests_of[symbol]):
        work, item = heapq.heappop(least_first)
        shares[item].append(symbol)
        heapq.heappush(least_first, (work + requests_of[symbol], item))
    place = {symbol: place for place, symbol in enumerate(requests_of)}
    ordered = sorted((sorted(share, key=place.__getitem__) for share in shares), key=lambda share: place[share[0]])
    return [",".join(share) for share in ordered]

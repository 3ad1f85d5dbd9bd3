"""Find rows out of a page's order: their times are wrong."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

import numpy as np

# Below this share no row is trusted.
IN_ORDER_SHARE = 0.75


def out_of_order(open_ms: Sequence[int]) -> frozenset[int]:
    """The places of rows that may be misplaced; equal neighbours are in order.

    A row is cleared only if every longest ordered run has it: either of two swapped rows may be wrong.
    """
    steps = np.diff(np.asarray(open_ms, dtype=np.int64))
    falling, rising = np.count_nonzero(steps < 0), np.count_nonzero(steps > 0)
    if not falling or not rising:
        return frozenset()
    rising_times = [-ms for ms in open_ms] if falling > rising else list(open_ms)
    before = _longest_runs(rising_times)
    after = _longest_runs([-ms for ms in reversed(rising_times)])[::-1]
    longest = max(before)
    ranks = [b if b + a - 1 == longest else None for b, a in zip(before, after, strict=True)]
    bearers = Counter(rank for rank in ranks if rank is not None)
    if longest < IN_ORDER_SHARE * len(open_ms):
        return frozenset(range(len(open_ms)))
    return frozenset(place for place, rank in enumerate(ranks) if rank is None or bearers[rank] > 1)


def _longest_runs(times: Sequence[int]) -> list[int]:
    """Length of the longest ordered run (with gaps) that ends at each place."""
    tails: list[int] = []
    lengths = []
    for ms in times:
        place = bisect_right(tails, ms)
        tails[place : place + 1] = [ms]
        lengths.append(place + 1)
    return lengths

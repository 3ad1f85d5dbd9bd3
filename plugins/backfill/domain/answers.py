"""What an answer says: which bars it gives, and about which it is silent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from backfill.domain.intervals import Interval, difference, intersection
from backfill.domain.timeframes import Timeframe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A bar may be published late. Until this long after its close, its lack in the newest place proves nothing.
LATE_MS = 10 * 60 * 1000


def bar_intervals(open_ms: NDArray[np.int64], step_ms: int) -> list[Interval]:
    """Ascending open times as joined intervals."""
    if not len(open_ms):
        return []
    import numpy as np

    breaks = np.flatnonzero(np.diff(open_ms) != step_ms)
    starts = open_ms[np.concatenate(([0], breaks + 1))]
    ends = open_ms[np.concatenate((breaks, [len(open_ms) - 1]))] + step_ms
    return [Interval(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def silent(
    window: Interval,
    asked_before_ms: int,
    oldest_ms: int,
    newest_ms: int,
    given: Sequence[Interval],
    doubtful_ms: Iterable[int],
    timeframe: Timeframe,
    now_ms: int,
) -> list[Interval]:
    """The bars of ``window`` that an answer has passed over.

    An answer holds the newest bars before its cursor, so what lies between its oldest row and the cursor and is
    not ``given`` it has no candle for. Not so the bars of rows that were there but could not be
    used (``doubtful_ms``), and, after the newest row, bars that may only be late.
    """
    step_ms = timeframe.step_ms
    late = max(newest_ms + step_ms, timeframe.floor(now_ms - LATE_MS))
    spanned = Interval(timeframe.ceil(oldest_ms), min(asked_before_ms, late))
    doubtful = [Interval(timeframe.floor(ms), timeframe.floor(ms) + step_ms) for ms in doubtful_ms]
    return difference(intersection([window], [spanned]), [*given, *doubtful])

"""Which bars an answer contains or lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from backfill.domain.intervals import Interval, difference, intersection
from backfill.domain.timeframes import Timeframe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Bars may be published late: until this long after the close a missing one proves nothing.
LATE_MS = 10 * 60 * 1000


def bar_intervals(open_ms: NDArray[np.int64], step_ms: int) -> list[Interval]:
    """Join ascending open times into intervals."""
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
    """The bars of ``window`` between an answer's oldest row and the cursor that are not ``given``.

    Without bars of unusable rows (``doubtful_ms``) and newest bars that may be late.
    """
    step_ms = timeframe.step_ms
    late = max(newest_ms + step_ms, timeframe.floor(now_ms - LATE_MS))
    spanned = Interval(timeframe.ceil(oldest_ms), min(asked_before_ms, late))
    doubtful = [Interval(timeframe.floor(ms), timeframe.floor(ms) + step_ms) for ms in doubtful_ms]
    return difference(intersection([window], [spanned]), [*given, *doubtful])

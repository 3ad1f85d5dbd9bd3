"""Half-open intervals of whole milliseconds.

A set is a sorted list without overlaps or touching intervals; every function returns one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """The span [start, end) in epoch milliseconds."""

    start: int
    end: int


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Join intervals that overlap or touch."""
    joined: list[Interval] = []
    for start, end in sorted(i for i in intervals if i.start < i.end):
        if joined and start <= joined[-1].end:
            joined[-1] = Interval(joined[-1].start, max(joined[-1].end, end))
        else:
            joined.append(Interval(start, end))
    return joined


def difference(wanted: Iterable[Interval], have: Iterable[Interval]) -> list[Interval]:
    """The parts of ``wanted`` outside ``have``."""
    uncovered: list[Interval] = []
    covers = union(have)
    first = 0
    for start, end in union(wanted):
        while first < len(covers) and covers[first].end <= start:
            first += 1
        cursor = start
        for cover in _from(covers, first):
            if cover.start >= end:
                break
            if cursor < cover.start:
                uncovered.append(Interval(cursor, cover.start))
            cursor = max(cursor, cover.end)
        if cursor < end:
            uncovered.append(Interval(cursor, end))
    return uncovered


def intersection(left: Iterable[Interval], right: Iterable[Interval]) -> list[Interval]:
    """The parts covered by both."""
    a, b = union(left), union(right)
    both: list[Interval] = []
    i = j = 0
    while i < len(a) and j < len(b):
        start, end = max(a[i].start, b[j].start), min(a[i].end, b[j].end)
        if start < end:
            both.append(Interval(start, end))
        if a[i].end < b[j].end:
            i += 1
        else:
            j += 1
    return both


def within(have: Sequence[Interval], span: Interval) -> list[Interval]:
    """The parts of a set inside ``span``, found by bisection."""
    first = bisect_right(have, span.start, key=lambda interval: interval.end)
    past = bisect_left(have, span.end, key=lambda interval: interval.start)
    return [Interval(max(start, span.start), min(end, span.end)) for start, end in have[first:past]]


def total_ms(intervals: Iterable[Interval]) -> int:
    """Total covered length in ms."""
    return sum(i.end - i.start for i in union(intervals))


def _from(intervals: list[Interval], first: int) -> Iterator[Interval]:
    for index in range(first, len(intervals)):
        yield intervals[index]

"""Conversion between intervals and Postgres's ``int8multirange``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from psycopg.types.multirange import Multirange

from backfill.domain.intervals import Interval

_RANGE = re.compile(r"\[(-?[0-9]+),(-?[0-9]+)\)")


def to_multirange(intervals: Iterable[Interval]) -> str:
    """The literal, to be cast to int8multirange."""
    return "{" + ",".join(f"[{start},{end})" for start, end in intervals) + "}"


def to_intervals(multirange: Multirange[int]) -> list[Interval]:
    """Its intervals, oldest first."""
    return [Interval(int(one.lower or 0), int(one.upper or 0)) for one in multirange]


def intervals_in(literal: str) -> list[Interval]:
    """Intervals from text: the driver's objects take twice the memory with 100,000 holes."""
    return [Interval(int(one[1]), int(one[2])) for one in _RANGE.finditer(literal)]

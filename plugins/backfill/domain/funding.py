"""Funding events, whose spacing the exchange changes (8 h, 4 h, 1 h), and where one may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from backfill.domain.intervals import Interval, union
from backfill.domain.timeframes import HOUR_MS

LONGEST_MS = 8 * HOUR_MS
# Exchanges pay a few milliseconds late.
SLACK_MS = 60_000


class FundingEvent(NamedTuple):
    """One payment: when, and which share of the position."""

    funding_ms: int
    rate: float


def whole_spans(times_ms: Sequence[int]) -> list[Interval]:
    """The spans between neighbouring events of an answer (oldest first) in which none is missing.

    An answer is a list without holes, so its spacing is the evidence: a changed interval lasts for more than one event.
    A spacing longer than both beside it, or than any exchange's, may hide a lost one.
    """
    steps = [later - earlier for earlier, later in pairwise(times_ms)]
    believed = []
    for place, step in enumerate(steps):
        beside = [*steps[max(0, place - 1) : place], *steps[place + 1 : place + 2]]
        usual = max(beside, default=LONGEST_MS)
        if step <= LONGEST_MS + SLACK_MS and step <= usual + SLACK_MS:
            believed.append(Interval(times_ms[place], times_ms[place + 1]))
    return union(believed)


def next_due_ms(times_ms: Sequence[int]) -> int | None:
    """When the next event is due, by the last spacing; None: too few known."""
    return None if len(times_ms) < 2 else 2 * times_ms[-1] - times_ms[-2]

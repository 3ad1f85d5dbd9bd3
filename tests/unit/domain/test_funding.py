"""Between which funding payments nothing can be missing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from backfill.domain.funding import next_due_ms, whole_spans
from backfill.domain.intervals import Interval, difference
from backfill.domain.timeframes import HOUR_MS


def paid(*hours: int) -> list[int]:
    """Payments so many hours apart."""
    return [HOUR_MS * at for at in itertools.accumulate(hours, initial=1000)]


def doubted(times_ms: Sequence[int]) -> list[int]:
    """How many hours the spans have that are not believed."""
    left = difference([Interval(times_ms[0], times_ms[-1])], whole_spans(times_ms))
    return [(span.end - span.start) // HOUR_MS for span in left]


@pytest.mark.parametrize("hours", [(8, 8, 8), (8, 8, 4, 4, 1, 1), (1, 1, 4, 4, 8, 8), (4, 4, 8, 8), (8,)])
def test_a_change_of_the_interval_is_whole(hours):
    assert doubted(paid(*hours)) == []


@pytest.mark.parametrize(
    ("hours", "hidden"),
    [
        ((4, 4, 8, 4, 4), [8]),
        ((8, 16, 8), [16]),
        ((1, 1, 2, 1), [2]),
        ((8, 8, 12, 4), [12]),
        ((4, 4, 8), [8]),  # at an edge only what stands beyond it can tell
        ((8, 4, 4), [8]),
        ((9,), [9]),
    ],
)
def test_a_longer_span_that_stands_alone_may_hide_a_payment(hours, hidden):
    assert doubted(paid(*hours)) == hidden


def test_a_payment_some_milliseconds_late_hides_nothing():
    times_ms = [ms + late for ms, late in zip(paid(8, 8, 8), (0, 14, 3, 9), strict=True)]
    assert doubted(times_ms) == []


def test_the_next_one_is_due_after_the_last_interval():
    assert next_due_ms(paid(8, 4)) == paid(8, 4, 4)[-1]
    assert next_due_ms(paid()) is None

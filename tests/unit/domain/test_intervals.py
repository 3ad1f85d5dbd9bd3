"""The algebra of intervals, checked against Python's sets of points."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.intervals import Interval, difference, intersection, total_ms, union

# Few points, so that intervals often overlap, touch, repeat and hold nothing; some stand on their head.
POINTS = st.integers(-12, 12)
INTERVALS = st.lists(st.builds(Interval, POINTS, POINTS), max_size=8)


def points(intervals: Iterable[Interval]) -> set[int]:
    return {point for start, end in intervals for point in range(start, end)}


def is_canonical(intervals: list[Interval]) -> bool:
    """Sorted, nothing empty, nothing that overlaps or touches: what every function promises to return."""
    return all(one.start < one.end for one in intervals) and all(a.end < b.start for a, b in pairwise(intervals))


@given(INTERVALS)
def test_a_union_covers_what_its_intervals_cover(intervals):
    joined = union(intervals)
    assert points(joined) == points(intervals)
    assert is_canonical(joined)
    assert union(joined) == joined


@given(INTERVALS, INTERVALS)
def test_a_difference_is_what_set_subtraction_says(wanted, have):
    left = difference(wanted, have)
    assert points(left) == points(wanted) - points(have)
    assert is_canonical(left)


@given(INTERVALS, INTERVALS)
def test_an_intersection_is_what_both_sets_share(left, right):
    both = intersection(left, right)
    assert points(both) == points(left) & points(right)
    assert is_canonical(both)
    assert both == intersection(right, left)


@given(INTERVALS)
def test_a_total_counts_every_point_once(intervals):
    assert total_ms(intervals) == len(points(intervals))


@given(INTERVALS, INTERVALS)
def test_arguments_are_left_as_they_were_and_may_be_iterators(left, right):
    before = (list(left), list(right))
    assert difference(iter(left), iter(right)) == difference(left, right)
    assert intersection(iter(left), iter(right)) == intersection(left, right)
    assert union(iter(left)) == union(left)
    assert (left, right) == before


def test_touching_intervals_are_one_and_a_gap_of_a_single_millisecond_keeps_them_apart():
    assert union([Interval(5, 9), Interval(0, 5)]) == [Interval(0, 9)]
    assert union([Interval(0, 5), Interval(6, 9)]) == [Interval(0, 5), Interval(6, 9)]
    assert difference([Interval(0, 10)], [Interval(4, 5)]) == [Interval(0, 4), Interval(5, 10)]
    assert intersection([Interval(0, 5)], [Interval(5, 9)]) == []


def test_ten_thousand_holes_in_each_of_two_sets_take_no_quadratic_time():
    have = [Interval(10 * n, 10 * n + 7) for n in range(10_000)]
    wanted = [Interval(10 * n + 5, 10 * n + 9) for n in range(10_000)]
    assert total_ms(difference(wanted, have)) == total_ms(intersection(wanted, have)) == 20_000

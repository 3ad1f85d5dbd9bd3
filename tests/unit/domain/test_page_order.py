"""Which rows of a page may have a wrong time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.page_order import out_of_order

PAGE = list(range(100, 0, -1))


@pytest.mark.parametrize("page", [[], [5], PAGE, PAGE[::-1], [3, 3, 2, 1], [1, 2, 2, 3]])
def test_rows_in_one_order_are_all_cleared(page):
    assert out_of_order(page) == frozenset()


@given(st.integers(0, 99), st.integers(-5000, 5000))
def test_one_moved_row_is_the_only_one_out_of_order(place, moved_to):
    page = [*PAGE[:place], moved_to, *PAGE[place + 1 :]]
    before = page[place - 1] if place else 10_000
    after = page[place + 1] if place < 99 else -10_000

    doubted = out_of_order(page)

    if before >= moved_to >= after:
        assert doubted == frozenset()
    else:
        assert place in doubted
        assert len(doubted) <= 2, "beside it only a neighbour with which it may have changed places"


def test_two_that_have_changed_places_may_both_be_wrong():
    page = [*PAGE[:40], PAGE[41], PAGE[40], *PAGE[42:]]
    assert out_of_order(page) == {40, 41}


def test_a_page_without_any_order_clears_none():
    page = [*PAGE[1::2], *PAGE[::-2]]
    assert out_of_order(page) == frozenset(range(100))


@given(st.lists(st.integers(0, 50), max_size=40))
def test_what_is_cleared_is_in_order_whatever_the_page(page):
    cleared = [ms for place, ms in enumerate(page) if place not in out_of_order(page)]
    assert cleared in (sorted(cleared), sorted(cleared, reverse=True))

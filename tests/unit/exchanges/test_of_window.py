"""Rows of an answer that holds more than was asked for."""

from __future__ import annotations

from backfill.domain.intervals import Interval
from backfill.exchanges.source_contract import UNREADABLE_BAR, Bar, of_window

WINDOW = Interval(100, 200)


def bars(*opens_ms: int) -> list[Bar]:
    return [Bar(ms, 1, 1, 1, 1, 1) for ms in opens_ms]


def test_those_of_the_window_are_taken() -> None:
    assert of_window(bars(80, 100, 180, 200, 300), WINDOW, now_ms=400) == bars(100, 180)


def test_what_cannot_be_read_stays() -> None:
    assert of_window([*bars(80, 100), UNREADABLE_BAR], WINDOW, now_ms=400) == [*bars(100), UNREADABLE_BAR]


def test_a_row_that_was_moved_is_not_left_out() -> None:
    for moved in (bars(80, 100, 300, 140), bars(80, 100, 20, 140), bars(80, 100, 100, 140), bars(100, 500)):
        assert of_window(moved, WINDOW, now_ms=400) == moved

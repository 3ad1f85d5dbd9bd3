"""Tests take fixed moments; those that ask the clock are named, and tried at moments that matter."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from run_on_days import ASK_IT_ANY_DAY, ASK_THE_CLOCK, MOMENTS, TESTS, chosen

CLOCKS = re.compile(
    r"store\.now\(\)|last_full_hour\(|time\.time\(|time_ns\(|datetime\.now\(|now_ms=None|[^_.\w]now\(\)"
)


def asks_the_clock(module: Path) -> bool:
    return CLOCKS.search(module.read_text(encoding="utf-8")) is not None


def test_every_test_that_asks_the_clock_is_named() -> None:
    levels = [TESTS / level for level in ("unit", "integration", "dags")]
    asking = {str(module.relative_to(TESTS)) for level in levels for module in level.rglob("test_*.py")
              if asks_the_clock(module) and module != Path(__file__)}  # fmt: skip
    assert asking - {*ASK_THE_CLOCK, *ASK_IT_ANY_DAY} == set()


def test_what_is_named_exists() -> None:
    assert [name for name in (*ASK_THE_CLOCK, *ASK_IT_ANY_DAY) if not (TESTS / name).exists()] == []


def test_the_moments_have_each_weekday_and_both_changes_of_the_clock() -> None:
    weekdays = {date.fromisoformat(moment.utc[:10]).weekday() for moment in MOMENTS}
    assert weekdays == set(range(7))
    assert {moment.zone for moment in MOMENTS} >= {"Europe/Berlin", "America/New_York"}


def test_each_moment_has_its_turn() -> None:
    days = [date.fromordinal(date(2026, 11, 25).toordinal() + day) for day in range(len(MOMENTS))]
    assert {chosen(2, day)[0] for day in days} == set(MOMENTS)
    assert all(len(set(chosen(2, day))) == 2 for day in days)

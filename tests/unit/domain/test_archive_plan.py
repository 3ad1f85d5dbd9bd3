"""Which files of an archive cover the gaps."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.archive_plan import ArchiveFile, is_out, month_of, plan_files
from backfill.domain.intervals import Interval, difference, union
from backfill.domain.page_plan import plan_pages
from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp() * 1000)


NOW_MS = ms("2026-03-10T12:00")
STARTS = st.integers(ms("2025-11-01") // HOUR_MS, NOW_MS // HOUR_MS)
GAPS = st.lists(st.tuples(STARTS, st.integers(1, 2000)), max_size=5).map(
    lambda gaps: union(Interval(start * HOUR_MS, (start + hours) * HOUR_MS) for start, hours in gaps)
)


def dates(*gaps: tuple[str, str]) -> list[str]:
    return [file.date for file in plan_files([Interval(ms(start), ms(end)) for start, end in gaps], NOW_MS)]


def test_a_month_that_is_out_is_one_file_and_the_current_one_is_days() -> None:
    assert dates(("2026-01-01", "2026-03-03")) == ["2026-03-02", "2026-03-01", "2026-02", "2026-01"]


def test_one_day_of_a_month_is_the_days_file_and_what_is_not_out_is_left_out() -> None:
    assert dates(("2026-01-05T10:00", "2026-01-05T11:00"), ("2026-03-09T23:00", "2026-03-10T11:00")) == [
        "2026-03-09", "2026-01-05",
    ]  # fmt: skip
    assert dates(("2026-03-10T00:00", "2026-03-10T11:00")) == []


def test_a_month_is_out_from_its_first_monday_at_the_latest() -> None:
    february = month_of(ms("2026-02-15"))
    assert not is_out(february, ms("2026-03-08"))
    assert is_out(february, ms("2026-03-09"))


@given(GAPS)
def test_the_files_cover_all_that_is_out_and_no_bar_twice(gaps: list[Interval]) -> None:
    files = [file.span for file in plan_files(gaps, NOW_MS)]
    out_until = NOW_MS - 12 * HOUR_MS
    out_until -= out_until % DAY_MS
    assert difference([Interval(start, min(end, out_until)) for start, end in gaps if start < out_until], files) == []
    assert sum(span.end - span.start for span in files) == sum(end - start for start, end in union(files))
    assert files == sorted(files, reverse=True)


@pytest.mark.parametrize("month", [month_of(ms(f"2025-{number:02}-15")) for number in range(1, 13)], ids=str)
def test_a_month_costs_less_than_a_twentieth_of_its_pages(month: ArchiveFile) -> None:
    """Two requests, for the file and its checksum; pages of 1000 minutes."""
    assert len(plan_files([month.span], NOW_MS)) == 1
    assert 0.05 * len(plan_pages([month.span], MINUTE_MS, 1000)) >= 2


def test_two_years_of_minutes_leave_the_api_a_thousandth_whatever_the_day_is() -> None:
    """Fifty days in a row have every number of days that their month's file is not out for."""
    shares = []
    for day in range(50):
        now_ms = NOW_MS + day * DAY_MS
        two_years = [Interval(now_ms - 730 * DAY_MS, now_ms)]
        files = plan_files(two_years, now_ms)
        alone = len(plan_pages(two_years, MINUTE_MS, 1000))
        left = len(plan_pages(difference(two_years, [file.span for file in files]), MINUTE_MS, 1000))
        assert (left, alone) == (1, 1052)
        shares.append((2 * len(files) + left) / alone)
    assert 0.06 < min(shares) < max(shares) < 0.12, "with the archive's own, which no limit of the API counts"

"""Which files of an archive cover the gaps."""

from __future__ import annotations

from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.archive_plan import is_out, month_of, plan_files
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


def test_two_years_of_minutes_cost_a_twentieth_of_the_requests_of_pages() -> None:
    """Two requests a file, for the checksum; pages of 1000 rows. The day is one after a month's file is out."""
    now_ms = ms("2026-03-09T12:00")
    two_years = [Interval(ms("2024-03-09"), ms("2026-03-09"))]
    files = plan_files(two_years, now_ms)
    pages = plan_pages(two_years, MINUTE_MS, 1000)
    assert (len(files), len(pages)) == (24 + 8, 1052)
    months = [file for file in files if file.is_month]
    assert 2 * len(months) <= 0.05 * len(pages)

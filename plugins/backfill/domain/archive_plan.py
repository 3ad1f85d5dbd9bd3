"""Which files of an archive cover the gaps: a month's if it is out and several of its days are wanted, else days'."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from backfill.domain.candle_files import month_ms
from backfill.domain.intervals import Interval, union, within
from backfill.domain.timeframes import DAY_MS, HOUR_MS, utc

# A day's file is out some hours later, a month's from the first Monday of the next (binance-public-data).
DAY_OUT_AFTER_MS = 12 * HOUR_MS
MONTH_OUT_AFTER_MS = 8 * DAY_MS
# A month's file costs as much as a day's.
DAYS_FOR_A_MONTH = 2


class ArchiveFile(NamedTuple):
    """The bars that open in ``span``, a UTC day or month."""

    span: Interval

    @property
    def is_month(self) -> bool:
        return self.span.end - self.span.start > DAY_MS

    @property
    def date(self) -> str:
        return f"{utc(self.span.start):%Y-%m}" if self.is_month else f"{utc(self.span.start):%Y-%m-%d}"


def day_of(ms: int) -> ArchiveFile:
    """The file of the day that contains ``ms``."""
    start_ms = ms - ms % DAY_MS
    return ArchiveFile(Interval(start_ms, start_ms + DAY_MS))


def month_of(ms: int) -> ArchiveFile:
    """The file of the month that contains ``ms``."""
    at = utc(ms)
    return ArchiveFile(Interval(month_ms(at.year, at.month), month_ms(at.year, at.month + 1)))


def is_out(file: ArchiveFile, now_ms: int) -> bool:
    """Whether the archive should have it by now."""
    return file.span.end + (MONTH_OUT_AFTER_MS if file.is_month else DAY_OUT_AFTER_MS) <= now_ms


def plan_files(gaps: Iterable[Interval], now_ms: int) -> list[ArchiveFile]:
    """The fewest files for ``gaps`` (ms), newest first; what is not out yet is left out."""
    wanted = union(gaps)
    files: list[ArchiveFile] = []
    for month in sorted({month_of(ms) for gap in wanted for ms in _months(gap)}, reverse=True):
        days = _days(within(wanted, month.span))
        if is_out(month, now_ms) and len(days) >= DAYS_FOR_A_MONTH:
            files.append(month)
        else:
            files += [day for day in days if is_out(day, now_ms)]
    return files


def plan_days(gaps: Iterable[Interval], month: ArchiveFile) -> list[ArchiveFile]:
    """The days of a month that ``gaps`` touch, newest first."""
    return _days(within(union(gaps), month.span))


def _months(gap: Interval) -> list[int]:
    starts = [gap.start]
    while (end_ms := month_of(starts[-1]).span.end) < gap.end:
        starts.append(end_ms)
    return starts


def _days(parts: Sequence[Interval]) -> list[ArchiveFile]:
    starts = {start_ms for part in parts for start_ms in range(part.start - part.start % DAY_MS, part.end, DAY_MS)}
    return [day_of(start_ms) for start_ms in sorted(starts, reverse=True)]

"""Files of candles: names, spans and the steps of a segment's life."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import NamedTuple

from backfill.domain.intervals import Interval
from backfill.domain.symbols import SYMBOL_PATTERN
from backfill.domain.timeframes import DAY_MS, TIMEFRAMES, Timeframe, utc
from backfill.errors import ConfigurationError

DOWNLOADED, PROCESSING, PROCESSED, DELETED = "downloaded", "processing", "processed", "deleted"
STATUSES = (DOWNLOADED, PROCESSING, PROCESSED, DELETED)
PERIODS = ("day", "month")
FORMATS = ("csv", "parquet")
COLUMNS = ("ts_ms", "open", "high", "low", "close", "volume", "quote_volume", "source")
# A timeframe with fewer bars in a day has a file a month.
DAYS_FROM_BARS = 24

_SYMBOL = SYMBOL_PATTERN
_NAME = re.compile(
    rf"({_SYMBOL})__([0-9]+[mhdw])__t([0-9]{{1,14}})_t([0-9]{{1,14}})(?:__r([0-9]{{1,6}}))?\.(csv|parquet)"
)


class SegmentName(NamedTuple):
    """``BTC-USDT__1m__t1767225600000_t1767312000000.csv``: bars that open in [start, end), in epoch ms.

    Later revisions of a span end in ``__r2`` and so on.
    """

    symbol: str
    timeframe: str
    start_ms: int
    end_ms: int
    revision: int = 1
    suffix: str = "csv"

    def __str__(self) -> str:
        if not re.fullmatch(_SYMBOL, self.symbol):
            raise ConfigurationError(
                f"{self.symbol!r} cannot be part of a file's name: only A-Z, 0-9 and one of - _ . can"
            )
        revision = f"__r{self.revision}" if self.revision > 1 else ""
        return f"{self.symbol}__{self.timeframe}__t{self.start_ms}_t{self.end_ms}{revision}.{self.suffix}"

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """The parts of a file's name; None: it is no segment's."""
        found = _NAME.fullmatch(name)
        if found is None or found[2] not in TIMEFRAMES:
            return None
        start_ms, end_ms = int(found[3]), int(found[4])
        return cls(found[1], found[2], start_ms, end_ms, int(found[5] or 1), found[6]) if start_ms < end_ms else None


def usual_period(timeframe: Timeframe) -> str:
    """A day, or a month where a day has few bars."""
    return "day" if DAY_MS // timeframe.step_ms >= DAYS_FROM_BARS else "month"


def spans(timeframe: Timeframe, period: str, window: Interval) -> Iterator[Interval]:
    """The bars of each UTC day or month that ``window`` touches, oldest first."""
    start_ms = _floor(period, window.start)
    while start_ms < window.end:
        next_ms = _next(period, start_ms)
        span = Interval(timeframe.ceil(start_ms), timeframe.ceil(next_ms))
        if span.start < span.end:
            yield span
        start_ms = next_ms


def _floor(period: str, ms: int) -> int:
    if period == "day":
        return ms - ms % DAY_MS
    at = utc(ms)
    return _ms(at.year, at.month)


def _next(period: str, start_ms: int) -> int:
    if period == "day":
        return start_ms + DAY_MS
    at = utc(start_ms)
    return _ms(at.year + at.month // 12, at.month % 12 + 1)


def _ms(year: int, month: int) -> int:
    return round(datetime(year, month, 1, tzinfo=timezone.utc).timestamp() * 1000)

"""What the name of a file of candles says: instrument, timeframe, source, span."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from backfill.domain.intervals import Interval
from backfill.domain.segments import SegmentName
from backfill.domain.timeframes import DAY_MS, TIMEFRAMES
from backfill.domain.venues import VENUES

# Bulk archives are another witness than the exchange's API.
ARCHIVE = "binance_vision"
# Venues whose perpetuals are a source of their own.
PERPETUALS_OF = {"binance": "binanceusdm", "kucoin": "kucoinfutures"}
QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "USD")

_MARKET = re.compile(r"([a-z][a-z0-9]*)__([A-Z0-9]+-[A-Z0-9]+)(-PERP)?__(\w+?)(?:__\w+)?\.csv(?:\.gz)?")
_ARCHIVE = re.compile(rf"([A-Z0-9]+?)({'|'.join(QUOTES)})-([0-9]+[a-z]+)-(\d{{4}})-(\d\d)(?:-(\d\d))?\.(?:zip|csv)")


@dataclass(frozen=True)
class CandleFileName:
    """``source`` None: each row names its own. ``span``: where its bars must open; None: not said.

    ``is_spot`` None: neither name nor path says.
    """

    symbol: str
    timeframe: str
    source: str | None
    span: Interval | None = None
    is_spot: bool | None = False


def parse_file_name(name: str, parents: tuple[str, ...] = ()) -> CandleFileName | str | None:
    """What the name says; a text: why it cannot be used; None: no file of candles.

    ``parents``: the folders above, outermost first.
    """
    if segment := SegmentName.parse(name):
        span = Interval(segment.start_ms, segment.end_ms)
        return CandleFileName(segment.symbol, segment.timeframe, None, span)
    if found := _MARKET.fullmatch(name):
        if found[4] not in TIMEFRAMES:
            return f"its timeframe {found[4]} is none of {', '.join(TIMEFRAMES)}"
        source = PERPETUALS_OF.get(found[1], found[1]) if found[3] else found[1]
        return CandleFileName(found[2], found[4], source, is_spot=not found[3])
    if found := _ARCHIVE.fullmatch(name):
        return _archive(found, parents)
    return None


def spot_source(venue: str) -> str:
    """The source of a venue's spot candles: its own name only if it has nothing else."""
    known = VENUES.get(venue)
    return venue if known is not None and not known.perpetuals else f"{venue}_spot"


def _archive(found: re.Match[str], parents: tuple[str, ...]) -> CandleFileName | str:
    base, quote, timeframe = found[1], found[2], found[3]
    if timeframe not in TIMEFRAMES:
        return f"its timeframe {timeframe} is none of {', '.join(TIMEFRAMES)}"
    if "cm" in parents:
        return "a contract that is not settled in its quote currency"
    year, month, day = int(found[4]), int(found[5]), int(found[6] or 1)
    try:
        start_ms = month_ms(year, month) + (day - 1) * DAY_MS
        datetime(year, month, day, tzinfo=timezone.utc)
    except ValueError:
        return "its name has no valid date"
    end_ms = start_ms + DAY_MS if found[6] else month_ms(year, month + 1)
    is_spot = True if "spot" in parents else False if "um" in parents else None
    return CandleFileName(f"{base}-{quote}", timeframe, ARCHIVE, Interval(start_ms, end_ms), is_spot)


def month_ms(year: int, month: int) -> int:
    """When a month begins; 13 is the next January."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return round(datetime(year, month, 1, tzinfo=timezone.utc).timestamp() * 1000)


def checksum_in(text: str, name: str) -> str | None:
    """The SHA-256 that a `.CHECKSUM` file gives for ``name``, if any."""
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 2 and parts[1].lstrip("*") == name and re.fullmatch("[0-9a-fA-F]{64}", parts[0]):
            return parts[0].lower()
    return None

"""Which series, in which window, and what they lack: the values that queries about series take and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from backfill.domain.intervals import Interval

# First key of the advisory locks that mark a series as being worked on ("bfsl" in ASCII); the second is its id.
SERIES_LOCK = 0x6266_736C


@dataclass(frozen=True)
class Selection:
    """Which series, seen when: None names all; a window replaces the declared one as far as its bounds allow."""

    at: datetime
    settle_ms: int = 0
    symbols: Sequence[str] | None = None
    timeframes: Sequence[str] | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def as_params(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "settle_ms": self.settle_ms,
            "symbols": list(self.symbols) if self.symbols is not None else None,
            "timeframes": list(self.timeframes) if self.timeframes is not None else None,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
        }


class SeriesWindow(NamedTuple):
    """A series and the half-open span of it that must be complete (ms, on its grid).

    ``is_pruned``: it has a retention, so that what lies before the window will be removed.
    """

    series_id: int
    symbol: str
    timeframe: str
    source_ids: list[int]
    start_ms: int
    end_ms: int
    state: str | None
    list_ms: int | None
    spot_proxy: bool = False
    objective_pct: float = 99.9
    roll_up: bool = False
    is_pruned: bool = False


class OpenWork(NamedTuple):
    """What a window lacks: in bars for the log, in intervals for the source that is to be asked."""

    held_candles: int
    missing_candles: int
    gaps_found: int
    askable: list[Interval]

    @property
    def coverage_pct(self) -> float:
        """Of the bars that exist anywhere; established absences are not counted as bars."""
        known = self.held_candles + self.missing_candles
        return 100.0 if known == 0 else 100.0 * self.held_candles / known


@dataclass(frozen=True)
class StoredPage:
    """What one transaction has changed: rows, and the length of what is newly absent in ms."""

    inserted: int
    revised: int
    quarantined: int
    newly_absent_ms: int

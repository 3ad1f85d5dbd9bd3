"""Arguments and results of queries about series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from backfill.domain.intervals import Interval

# Advisory lock: "bfsl" in ASCII, then the series id.
SERIES_LOCK = 0x6266_736C


@dataclass(frozen=True)
class Selection:
    """Series as of ``at``; None selects all. A window replaces the declared one within its bounds."""

    at: datetime
    settle_ms: int = 0
    symbols: Sequence[str] | None = None
    timeframes: Sequence[str] | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def as_params(self) -> dict[str, Any]:
        """The parameters of series queries."""
        return {
            "at": self.at,
            "settle_ms": self.settle_ms,
            "symbols": list(self.symbols) if self.symbols is not None else None,
            "timeframes": list(self.timeframes) if self.timeframes is not None else None,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
        }


class SeriesWindow(NamedTuple):
    """A series and the half-open span that must be complete (ms, on its grid).

    ``is_pruned``: a retention removes what lies before. ``closed``: bars outside the market's hours.
    ``splits``: whether prices are adjusted for them or raw; None: it has none.
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
    closed: Sequence[Interval] = ()
    splits: str | None = None


class OpenWork(NamedTuple):
    """What a window lacks: bars to log, intervals to ask for."""

    held_candles: int
    missing_candles: int
    gaps_found: int
    askable: list[Interval]

    @property
    def coverage_pct(self) -> float:
        """Of the bars that exist anywhere, without established absences."""
        known = self.held_candles + self.missing_candles
        return 100.0 if known == 0 else 100.0 * self.held_candles / known


@dataclass(frozen=True)
class StoredPage:
    """Changes of one transaction: rows, newly absent ms."""

    inserted: int
    revised: int
    quarantined: int
    newly_absent_ms: int

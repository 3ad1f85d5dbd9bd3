"""Sync status, gaps and readiness of series."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.named_queries import query
from backfill.storage.series import Selection

Row = dict[str, Any]

YOUNG = "insufficient_history"


class SeriesReadiness(NamedTuple):
    """``bars_ready``: gapless bars up to the last closed one; others as in ``sync_status``."""

    symbol: str
    timeframe: str
    status: str
    bars_ready: int
    bars_needed: int
    newest_data: datetime | None

    @property
    def is_ready(self) -> bool:
        """Whether there are as many bars as needed."""
        return self.bars_ready >= self.bars_needed

    @property
    def is_young(self) -> bool:
        """Complete but too short: no fill helps."""
        return self.status == YOUNG and not self.is_ready

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe} ({self.status}): {self.bars_ready:,} of {self.bars_needed:,} bars"


def sync_status(store: CandleStore, which: Selection) -> list[Row]:
    """One row of the view ``sync_status`` per selected series."""
    return store.rows("series/select_sync_status", which)


class Leaving(NamedTuple):
    """Missing bars that no source can give from ``leaves_at`` on."""

    symbol: str
    timeframe: str
    bars: int
    first_bar: datetime
    leaves_at: datetime

    def __str__(self) -> str:
        return (
            f"{self.symbol} {self.timeframe}: {self.bars:,} missing bars from {self.first_bar:%Y-%m-%d %H:%M} on leave "
            f"the reach of every source from {self.leaves_at:%Y-%m-%d %H:%M} UTC on"
        )


def leaving_reach(store: CandleStore, which: Selection, excused_ms: int = 0) -> list[Leaving]:
    """What leaves every source's reach within 48 hours, soonest first; without bars younger than ``excused_ms``."""
    params = {**which.as_params(), "excused_ms": excused_ms}
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return [Leaving(**row) for row in cursor.execute(query("ledger/select_leaving"), params)]


def gaps(store: CandleStore, which: Selection) -> list[Row]:
    """The series' ``symbol``, ``timeframe``, ``gap_start``, ``gap_end``, ``missing_candles``."""
    return store.rows("ledger/select_gaps", which)


def wanted_readiness(
    store: CandleStore, at: datetime, *, bars: int | None = None, settle_ms: int = 0
) -> list[SeriesReadiness]:
    """Readiness of every wanted series at ``at``. ``bars`` needed; None: as declared."""
    params = {"bars": bars, "at": at, "settle_ms": settle_ms}
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return [SeriesReadiness(**row) for row in cursor.execute(query("series/select_readiness"), params)]

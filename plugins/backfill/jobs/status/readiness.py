"""Are the last N closed bars of a series there without a hole? Before that no indicator can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg.rows import dict_row

from backfill.domain.timeframes import TIMEFRAMES
from backfill.errors import UnknownSymbol, UnknownTimeframe
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.named_queries import query

YOUNG = "insufficient_history"


class SeriesReadiness(NamedTuple):
    """``bars_ready``: bars held without a hole up to the last closed one; ``status`` and the rest as in sync_status."""

    symbol: str
    timeframe: str
    status: str
    bars_ready: int
    bars_needed: int
    newest_data: datetime | None

    @property
    def is_ready(self) -> bool:
        return self.bars_ready >= self.bars_needed

    @property
    def is_young(self) -> bool:
        """Whole, and still too short: waiting for a fill does not help."""
        return self.status == YOUNG and not self.is_ready

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe} ({self.status}): {self.bars_ready:,} of {self.bars_needed:,} bars"


def readiness(
    store: CandleStore,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    bars: int | None = None,
    settle_ms: int = 0,
    at: datetime | None = None,
) -> list[SeriesReadiness]:
    """How ready the wanted series of some symbols and timeframes are, as of ``at`` (now); from the ledger alone.

    ``bars``: how many are needed; None: as the universe says of each. Raises :class:`UnknownSymbol` or
    :class:`UnknownTimeframe` for a name that none of them has.
    """
    params = {"bars": bars, "at": at or store.now(), "settle_ms": settle_ms}
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        wanted = [SeriesReadiness(**row) for row in cursor.execute(query("series/select_readiness"), params)]
    known = list(dict.fromkeys(one.symbol for one in wanted))
    for symbol in symbols or ():
        if symbol not in known:
            raise UnknownSymbol(symbol, known)
    chosen = [one for one in wanted if not symbols or one.symbol in symbols]
    kept = {one.timeframe for one in chosen}
    for timeframe in timeframes or ():
        if timeframe not in kept:
            raise UnknownTimeframe(timeframe, [name for name in TIMEFRAMES if name in kept])
    return [one for one in chosen if not timeframes or one.timeframe in timeframes]

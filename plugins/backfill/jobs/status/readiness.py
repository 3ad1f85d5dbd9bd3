"""Whether the last N closed bars of a series have no gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from backfill.domain.timeframes import TIMEFRAMES
from backfill.errors import UnknownSymbol, UnknownTimeframe
from backfill.storage.candle_store import CandleStore
from backfill.storage.series_status import SeriesReadiness, wanted_readiness

__all__ = ["SeriesReadiness", "readiness"]


def readiness(
    store: CandleStore,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    bars: int | None = None,
    settle_ms: int = 0,
    at: datetime | None = None,
) -> list[SeriesReadiness]:
    """Readiness of wanted series as of ``at`` (default now), from the ledger alone.

    ``bars``: number needed; None: as the universe says. Raises :class:`UnknownSymbol` or :class:`UnknownTimeframe`.
    """
    wanted = wanted_readiness(store, at or store.now(), bars=bars, settle_ms=settle_ms)
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

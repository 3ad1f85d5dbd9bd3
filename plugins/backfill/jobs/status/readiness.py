"""Are the last N closed bars of a series stored without a hole? Indicators need them."""

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
    """How ready the wanted series of some symbols and timeframes are, as of ``at`` (now); from the ledger alone.

    ``bars``: how many are needed; None: as the universe says of each. Raises :class:`UnknownSymbol` or
    :class:`UnknownTimeframe` for a name that none of them has.
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

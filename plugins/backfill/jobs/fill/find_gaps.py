"""Find the series with work left, in one query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import NamedTuple

from backfill.domain.timeframes import MINUTE_MS
from backfill.errors import InvalidWindow
from backfill.jobs.fill.share_work import requests_for, share_work
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection


class SeriesGaps(NamedTuple):
    """Bars left to fetch of one series; ``newest_ms``: end of the newest.

    ``restorable_candles``: held from another source, maybe available from the primary.
    """

    symbol: str
    timeframe: str
    missing_candles: int
    newest_ms: int
    restorable_candles: int = 0


def selection(
    at: datetime,
    settle_s: float,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Selection:
    """Check a selection against the clock ``at``.

    Raises :class:`InvalidWindow` if the start is not before the end, or the end is in the future.
    """
    from_ms, to_ms = _ms(start), _ms(end)
    now_ms = round(at.timestamp() * 1000)
    if from_ms is not None and from_ms >= (now_ms if to_ms is None else to_ms):
        raise InvalidWindow(from_ms, now_ms if to_ms is None else to_ms, "the start is not before the end")
    # Clocks differ: up to a minute ahead counts as now.
    if to_ms is not None and to_ms > now_ms + MINUTE_MS:
        raise InvalidWindow(from_ms or now_ms, to_ms, "it ends in the future")
    return Selection(
        at=at,
        settle_ms=round(settle_s * 1000),
        symbols=symbols or None,
        timeframes=timeframes or None,
        from_ms=from_ms,
        to_ms=to_ms,
    )


def find_gaps(store: CandleStore, which: Selection) -> list[SeriesGaps]:
    """Series of ``which`` with work left, newest first."""
    return [
        SeriesGaps(row["symbol"], row["timeframe"], row["missing_candles"], row["newest_ms"], row["restorable_candles"])
        for row in store.rows("ledger/select_symbols_with_gaps", which)
    ]


def symbols_with_gaps(gaps: Sequence[SeriesGaps], most: int, symbols_per_task: int | None = None) -> list[str]:
    """Each symbol once, in the order of ``gaps``, alone or in batches; see :func:`share_work`."""
    requests_of: Counter[str] = Counter()
    for gap in gaps:
        requests_of[gap.symbol] += requests_for(gap.missing_candles + gap.restorable_candles)
    return share_work(requests_of, most, symbols_per_task)


def gaps_in_words(gaps: Sequence[SeriesGaps], items: int) -> str:
    """What was found, and in how many mapped instances it will be worked on, as a sentence."""
    missing, restorable = sum(gap.missing_candles for gap in gaps), sum(gap.restorable_candles for gap in gaps)
    if not gaps:
        return "no candle is missing: nothing follows"
    also = f", {restorable:,} of another source may be had from the primary one" if restorable else ""
    instances = "1 instance" if items == 1 else f"{items:,} instances"
    return f"{missing:,} candles are missing{also}: {len(gaps):,} series, {instances} of each task"


def _ms(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    return round(aware.timestamp() * 1000)

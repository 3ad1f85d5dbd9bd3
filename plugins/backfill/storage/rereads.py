"""Which old bars of a series to read again, and where its rolling plan stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import fetch_one, translated_errors
from backfill.storage.multiranges import intervals_in, to_multirange
from backfill.storage.named_queries import query
from backfill.storage.series import SeriesWindow

# Only the audit looks for these.
AUDIT_KINDS = ("broken_candle", "timeframes")
# What is wrong with bars that are stored.
BAR_KINDS = (
    *AUDIT_KINDS,
    "cross_source",
    "flat_bars",
    "price_jump",
    "hour_shift",
    "wrong_scale",
    "wrong_instrument",
    "price_basis",
)


class Reread(NamedTuple):
    """What may be read again from the primary source.

    ``touched``: changed by another writer; ``accused``: of findings that no check asks about; ``widened``: beside
    corrections; ``native``: all that the plan walks over. ``sharers``: series of the same primary source.
    """

    touched: list[Interval]
    accused: list[Interval]
    widened: list[Interval]
    native: list[Interval]
    next_ms: int | None
    reread_at: datetime | None
    accused_at: datetime | None
    sharers: int


class Rereads:
    """The rolling plan of one series."""

    def __init__(self, store: CandleStore, window: SeriesWindow) -> None:
        self._connection = store.connection
        self._window = window
        self._series = {"series_id": window.series_id}

    def due(self, settled_ms: int) -> Reread:
        """What to read again; the plan covers bars before ``settled_ms``."""
        params = {
            **self._series,
            "start_ms": self._window.start_ms,
            "end_ms": self._window.end_ms,
            "settled_ms": settled_ms,
            "kinds": list(BAR_KINDS),
            "audit_kinds": list(AUDIT_KINDS),
        }
        with translated_errors():
            row = fetch_one(self._connection, query("ledger/select_reread"), params)
        touched, accused, widened, native = map(intervals_in, row[:4])
        return Reread(touched, accused, widened, native, *row[4:])

    def move(
        self, next_ms: int | None, reread_ms: int, accused_at: datetime | None, done: Sequence[Interval] = ()
    ) -> None:
        """The plan stands at ``next_ms`` as of ``reread_ms``; the ``done`` pages are no longer due."""
        params = {
            **self._series,
            "next_ms": next_ms,
            "reread_at": utc(reread_ms),
            "accused_at": accused_at,
            "done": to_multirange(done),
        }
        with translated_errors():
            self._connection.execute(query("ledger/move_reread"), params)

    def widen(self, found: Interval, beside: Interval, done: Sequence[Interval]) -> None:
        """Mark ``beside`` here and ``found`` in the source's other series as due."""
        params = {
            **self._series,
            "found": to_multirange([found]),
            "beside": to_multirange([beside]),
            "done": to_multirange(done),
        }
        with translated_errors():
            self._connection.execute(query("ledger/widen_reread"), params)

    def confirm_touched(self) -> None:
        """Clear ``touched`` where the primary source has given the bars again."""
        with translated_errors():
            self._connection.execute(query("ledger/confirm_touched"), self._series)

    def touched_stand_ins(self) -> dict[str, list[Interval]]:
        """Changed stand-ins by source."""
        with translated_errors():
            rows = self._connection.execute(query("ledger/select_touched_stand_ins"), self._series).fetchall()
        return {str(name): intervals_in(bars) for name, bars in rows}

    def confirm_stand_ins(self, bars: Sequence[Interval]) -> None:
        """The source of these stand-ins gave them again."""
        with translated_errors():
            params = {**self._series, "bars": to_multirange(bars)}
            self._connection.execute(query("ledger/confirm_stand_ins"), params)

    def settle_mended(self) -> int:
        """Settle findings whose bars were mended or removed; return their number."""
        with translated_errors():
            params = {**self._series, "kinds": list(BAR_KINDS)}
            return self._connection.execute(query("findings/settle_mended"), params).rowcount

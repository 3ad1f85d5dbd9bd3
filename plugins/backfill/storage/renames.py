"""Candles of a former name, carried over into the series of the new one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.multiranges import intervals_in
from backfill.storage.named_queries import query
from backfill.storage.series import SeriesWindow

PATIENCE_S = 60.0


class Kept(NamedTuple):
    """``held`` of a series, and the part ``carried`` over from a former name, oldest first."""

    held: list[Interval]
    carried: list[Interval]


class Evidence(NamedTuple):
    """Proof that two names are one instrument. ``proved_by``: the bars compared; ``said``: one sentence."""

    proved_by: str
    common_bars: int
    agreeing_bars: int
    said: str


class Renames:
    """Reads and writes ``carried``."""

    def __init__(self, store: CandleStore) -> None:
        self._store = store
        self._connection = store.connection

    def kept(self, old: SeriesWindow, new: SeriesWindow) -> tuple[Kept, Kept]:
        """What is held of both series."""
        params = {"series_ids": [old.series_id, new.series_id]}
        with translated_errors():
            rows = self._connection.execute(query("renames/select_ledgers"), params).fetchall()
        found = {number: Kept(intervals_in(held), intervals_in(carried)) for number, held, carried in rows}
        return found[old.series_id], found[new.series_id]

    @contextmanager
    def alone(self, old: SeriesWindow, new: SeriesWindow) -> Iterator[None]:
        """A transaction without runs or other writers on both series. Raises :class:`SeriesBusy`."""
        first, second = sorted((old, new), key=lambda window: window.series_id)
        with (
            self._store.working_on(first, PATIENCE_S),
            self._store.working_on(second, PATIENCE_S),
            self._store.page_transaction(),
        ):
            params = {"series_ids": [old.series_id, new.series_id]}
            self._connection.execute(query("renames/lock_series"), params)
            yield

    def carry(self, old: SeriesWindow, new: SeriesWindow, span: Interval, divisor: float, evidence: Evidence) -> int:
        """Carry over and note the bars of ``span``, inside :meth:`alone`; return how many."""
        params = {
            "series_id": new.series_id,
            "from_series_id": old.series_id,
            "first": utc(span.start),
            "past": utc(span.end),
            "start_ms": span.start,
            "end_ms": span.end,
            "divisor": divisor,
            "old": old.symbol,
            "new": new.symbol,
            **evidence._asdict(),
        }
        carried = self._connection.execute(query("renames/carry_candles"), params).rowcount
        self._connection.execute(query("renames/record_carried"), params)
        self._connection.execute(query("renames/log_carried"), params)
        return carried

"""Bars decided on by a person, whatever their source's rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import dict_row

from backfill.domain.candle_columns import EARLIEST_MS, CandleFrame
from backfill.domain.timeframes import utc
from backfill.storage.binary_copy import packed_array, page_arrays
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import fetch_one, translated_errors
from backfill.storage.named_queries import query
from backfill.storage.series import SeriesWindow

if TYPE_CHECKING:
    import pandas as pd

PATIENCE_S = 60.0


class Written(NamedTuple):
    """Row counts of one decision."""

    inserted: int
    revised: int
    unchanged: int
    findings_settled: int


def writable_series(store: CandleStore, settle_ms: int) -> list[SeriesWindow]:
    """Every series, with the window of writable bars: closed, within the retention."""
    params = {"settle_ms": settle_ms, "earliest_ms": EARLIEST_MS}
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return [SeriesWindow(**row) for row in cursor.execute(query("by_hand/select_writable_series"), params)]


class CandlesByHand:
    """The bars of one decision, sent with each query.

    ``candles``: one row per bar, as ``frames.candle_frame`` (integer ``open_ms``, NaN volume: unknown) with ``place``
    (line in a file, or quarantine id), ``series_id``, ``source_id``. Without ``tells_quote_volume`` a held quote volume
    stays only beside equal prices and volume: it belonged to the old bar.
    """

    def __init__(self, store: CandleStore, candles: pd.DataFrame, *, tells_quote_volume: bool = True) -> None:
        self._store = store
        self._params = {
            "place": packed_array(candles["place"].to_numpy(), "int8"),
            "series_id": packed_array(candles["series_id"].to_numpy(), "int4"),
            "source_id": packed_array(candles["source_id"].to_numpy(), "int2"),
            **page_arrays(CandleFrame.of(candles)),
            "first": utc(int(candles["open_ms"].min())),
            "past": utc(int(candles["open_ms"].max()) + 1),
            "tells_quote_volume": tells_quote_volume,
        }

    def changes(self) -> list[dict[str, Any]]:
        """Each bar's change and stored values: changed, new, then other bars."""
        with translated_errors(), self._store.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query("by_hand/select_rows"), self._params).fetchall()

    @contextmanager
    def alone(self, series: Sequence[SeriesWindow]) -> Iterator[None]:
        """A transaction without runs on ``series``. Raises :class:`SeriesBusy`."""
        new = {row["open_time"].strftime("%Y-%m"): row["open_time"] for row in self.changes() if row["change"] == "new"}
        with ExitStack() as locks:
            for window in sorted(series, key=lambda window: window.series_id):
                locks.enter_context(self._store.working_on(window, PATIENCE_S))
            with translated_errors():
                # Outside the transaction: a new partition locks ``candles`` until the commit.
                for month in new.values():
                    self._store.connection.execute(query("by_hand/partition_rows"), {"month": month})
            with self._store.page_transaction():
                yield

    def write(self, note: str) -> Written:
        """Write what differs, inside :meth:`alone`; old versions go to ``revisions``."""
        connection = self._store.connection
        connection.execute(query("by_hand/lock_rows"), self._params)
        return Written(*fetch_one(connection, query("by_hand/write_rows"), {**self._params, "note": note}))

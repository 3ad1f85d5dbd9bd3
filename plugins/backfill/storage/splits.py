"""Splits of instruments, and bars moved to the scale after one."""

from __future__ import annotations

from collections.abc import Sequence

from backfill.domain.intervals import Interval
from backfill.domain.splits import Split
from backfill.domain.timeframes import utc
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.multiranges import intervals_in, to_multirange
from backfill.storage.named_queries import query
from backfill.storage.series import SeriesWindow


class SplitLog:
    """Reads and writes ``splits``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, series_id: int) -> list[Split]:
        """The known splits of a series' instrument, oldest first."""
        with translated_errors():
            rows = self._connection.execute(query("splits/select_splits"), {"series_id": series_id}).fetchall()
        return [Split(*row) for row in rows]

    def kept(self, series_id: int) -> list[Interval]:
        """All that is held, whatever the window."""
        with translated_errors():
            return intervals_in(fetch_one(self._connection, query("splits/select_kept"), {"series_id": series_id})[0])

    def record(self, symbol: str, source_id: int, split: Split) -> None:
        """Note a split, in the caller's transaction if any; a new one is logged."""
        with translated_errors(), self._connection.transaction():
            found = fetch_one(self._connection, query("splits/lock_instrument"), {"symbol": symbol})
            params = {
                "instrument_id": found[0],
                "source_id": source_id,
                "ratio": split.ratio,
                "after_time": utc(split.after_ms),
                "until_time": utc(split.until_ms),
                "said": str(split),
            }
            self._connection.execute(query("splits/record_split"), params)

    def rescale(self, window: SeriesWindow, split: Split, given: Sequence[Interval], fill_run_id: int) -> int:
        """Rescale bars before the split, except those ``given`` so; inside a page transaction."""
        params = {
            "series_id": window.series_id,
            "last": utc(split.after_ms),
            "given": to_multirange(given),
            "ratio": split.ratio,
            "fill_run_id": fill_run_id,
        }
        self._connection.execute(query("ledger/take_over_ledger"), {"series_id": window.series_id, "bars": "{}"})
        return self._connection.execute(query("splits/rescale"), params).rowcount

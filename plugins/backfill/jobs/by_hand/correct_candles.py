"""Apply a batch of corrections that a person has written down: all of it or nothing, former selves kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backfill.jobs.by_hand.correction_file import CorrectionFile, read_corrections
from backfill.storage.candle_store import CandleStore
from backfill.storage.candles_by_hand import CandlesByHand, Written, writable_series

# Who is named as the source of a corrected candle: no page replaces it (candles/merge_page.sql).
MANUAL = "manual"


class Corrections:
    """A file without a fault, compared with what is held and ready to be applied."""

    def __init__(self, store: CandleStore, file: CorrectionFile) -> None:
        self._series = file.series
        self._bars: CandlesByHand | None = None
        if len(file.candles):
            candles = file.candles.assign(source_id=store.source_id(MANUAL))
            self._bars = CandlesByHand(store, candles, tells_quote_volume=file.tells_quote_volume)

    @classmethod
    def read(cls, store: CandleStore, path: Path, settle_ms: int) -> Corrections:
        """Check the whole file first. Raises :class:`CorrectionsInvalid`."""
        return cls(store, read_corrections(path, writable_series(store, settle_ms)))

    def changes(self) -> list[dict[str, Any]]:
        """Per line what is held and what would be; see ``by_hand/select_rows.sql``. Nothing is written."""
        return self._bars.changes() if self._bars else []

    def apply(self, reason: str) -> Written:
        """Write the bars that differ, in one transaction. Raises :class:`SeriesBusy`."""
        if self._bars is None:
            return Written(0, 0, 0, 0)
        with self._bars.alone(self._series):
            return self._bars.write(reason)

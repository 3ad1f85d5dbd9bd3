"""Apply manual corrections, all or nothing; replaced bars are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backfill.jobs.by_hand.correction_file import CorrectionFile, read_corrections
from backfill.storage.candle_store import CandleStore
from backfill.storage.candles_by_hand import CandlesByHand, Written, writable_series

# Source of corrected candles; no page replaces them (candles/merge_page.sql).
MANUAL = "manual"


class Corrections:
    """A valid file, compared with stored bars."""

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
        """Stored and new values per line; see ``by_hand/select_rows.sql``."""
        return self._bars.changes() if self._bars else []

    def apply(self, reason: str) -> Written:
        """Write changed bars in one transaction. Raises :class:`SeriesBusy`."""
        if self._bars is None:
            return Written(0, 0, 0, 0)
        with self._bars.alone(self._series):
            return self._bars.write(reason)

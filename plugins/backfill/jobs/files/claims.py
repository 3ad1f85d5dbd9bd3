"""What a consumer of segments calls: claim, work, finish.

with SegmentClaims.connect(uri) as claims:
    for segment in claims.claim("trainer", max_segments=8):
        train(segment["path"])
        claims.finish([segment["id"]], consumer="trainer")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backfill.domain.segments import DELETED, DOWNLOADED, PROCESSED
from backfill.jobs.files.folder import SegmentFolder, folder_of
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect


class SegmentClaims:
    """Claims over one connection."""

    def __init__(self, store: CandleStore) -> None:
        self.store = store
        self.ledger = store.segments

    @classmethod
    def connect(cls, uri: str) -> SegmentClaims:
        """Claims over a new connection, closed at the end of `with`."""
        store = CandleStore(connect(uri))
        store.require_current_schema()
        return cls(store)

    def __enter__(self) -> SegmentClaims:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def claim(
        self,
        consumer: str,
        *,
        symbols: Sequence[str] | None = None,
        timeframes: Sequence[str] | None = None,
        max_segments: int = 1,
    ) -> list[dict[str, Any]]:
        """Take segments for this consumer alone, oldest first; empty: nothing to do."""
        return self.ledger.claim(consumer, symbols=symbols, timeframes=timeframes, max_rows=max_segments)

    def finish(self, ids: Sequence[int], *, consumer: str | None = None, delete: bool = False) -> list[str]:
        """Mark as processed, or with ``delete`` as not needed any more; return their paths.

        Raises :class:`DecisionRefused` for one not claimed, or claimed by another consumer.
        """
        return self.ledger.step(ids, DELETED if delete else PROCESSED, consumer)

    def release(self, ids: Sequence[int]) -> None:
        """Hand claimed segments back: their consumer died."""
        self.ledger.step(ids, DOWNLOADED)


def remove_files(paths: Sequence[str], folder_at: Callable[[str], SegmentFolder]) -> None:
    """Remove the files of deleted segments."""
    for path in paths:
        folder, name = folder_of(path)
        folder_at(folder).remove(name)

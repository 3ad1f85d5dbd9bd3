"""Remove old rows of the run log: attempts on series, and what sources answered.

What a revision, a finding, an absence or a row in quarantine names is kept, so every number still leads to its run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from backfill.storage.candle_store import CandleStore


class PrunedRunLog(NamedTuple):
    """Rows of ``gap_fill_runs`` and of ``source_attempts``."""

    runs: int = 0
    answers: int = 0

    @property
    def lines(self) -> list[str]:
        """One line, if there is anything to say."""
        return [f"run log: {self.runs:,} runs and {self.answers:,} counted answers"] if any(self) else []


def prune_run_log(
    store: CandleStore, retention_ms: int | None, *, dry_run: bool = False, at: datetime | None = None
) -> PrunedRunLog:
    """Remove what is older than ``retention_ms`` (None: keep all) as of ``at`` (default now)."""
    if retention_ms is None:
        return PrunedRunLog()
    before = (at or store.now()) - timedelta(milliseconds=retention_ms)
    return PrunedRunLog(
        store.retention.prune_runs(before, dry_run=dry_run), store.retention.prune_answers(before, dry_run=dry_run)
    )

"""The number of candles in ``sync_status``, against the candles counted one by one.

It is read from the ledger, so this comes last, as the audit's own proof: after a repair both agree.
"""

from __future__ import annotations

from collections.abc import Iterator

from backfill.jobs.maintain.checks.scope import Scope
from backfill.storage.findings import Finding

KINDS = ("count_drift",)


def counts(scope: Scope) -> Iterator[Finding]:
    """One finding for each series whose number is wrong."""
    for row in scope.audit.count_drift(scope.at, scope.series_ids):
        reported, stored = row["told"], row["stored"]
        yield Finding(
            "count_drift",
            "drift",
            row["series_id"],
            field="total_candles",
            stored=reported,
            other=stored,
            difference=(reported - stored) / max(reported, stored),
            detail={"says": f"sync_status has {reported:,} candles, {stored:,} are stored"},
        )

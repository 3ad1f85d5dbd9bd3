"""What ``sync_status`` tells of the number of candles, against the candles counted one by one.

It tells what the ledger holds, so this comes last, as the audit's own proof: after a repair both agree.
"""

from __future__ import annotations

from collections.abc import Iterator

from backfill.jobs.maintain.checks.scope import Scope
from backfill.storage.findings import Finding

KINDS = ("count_drift",)


def counts(scope: Scope) -> Iterator[Finding]:
    """One finding for each series whose number is wrong."""
    for row in scope.audit.count_drift(scope.at, scope.series_ids):
        told, stored = row["told"], row["stored"]
        yield Finding(
            "count_drift",
            "drift",
            row["series_id"],
            field="total_candles",
            stored=told,
            other=stored,
            difference=(told - stored) / max(told, stored),
            detail={"says": f"sync_status tells {told:,} candles, {stored:,} are stored"},
        )

"""Compare ``sync_status`` counts with stored candles; last, as the audit's own proof."""

from __future__ import annotations

from collections.abc import Iterator

from backfill.jobs.maintain.checks.scope import Scope
from backfill.storage.findings import Finding

KINDS = ("count_drift",)


def counts(scope: Scope) -> Iterator[Finding]:
    """One finding per series with a wrong count."""
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

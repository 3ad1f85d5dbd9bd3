"""Compare the ledger with the candles: ``held``, ``stand_in`` and ``settled``.

Triggers and our writer update it; DROP or DETACH of a partition, or a session with triggers off, do not. One statement
reads both, so a page in flight is no drift. Repair recounts under the ledger's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from backfill.domain.intervals import Interval
from backfill.jobs.maintain.checks.scope import MOST_TOLD, Scope, after_repair, calendar_ms, some
from backfill.storage.findings import Finding
from backfill.storage.ledger_audit import Row

KINDS = ("held_drift", "stand_in_drift", "settled_drift")
# Drift name in the query: kind and text.
DRIFTS = {
    "untold": ("held_drift", "stored and not held"),
    "vanished": ("held_drift", "held and not stored"),
    "misattributed": ("stand_in_drift", "wrongly marked as stand-ins, or as the primary source's"),
    "unsettled": ("settled_drift", "settled and not held"),
}


@dataclass
class _Drift:
    """Drift of one kind in one series: hull (ms), first intervals, counts."""

    hull: Interval
    intervals: list[list[int]] = field(default_factory=list)
    bars: dict[str, int] = field(default_factory=dict)
    not_mended: str | None = None

    def add(self, row: Row, not_mended: str | None) -> None:
        """Merge one row of the drift query."""
        self.hull = Interval(min(self.hull.start, row["first_ms"]), max(self.hull.end, row["past_ms"]))
        self.intervals = sorted(self.intervals + row["intervals"])[:MOST_TOLD]
        self.bars[row["name"]] = self.bars.get(row["name"], 0) + row["bars"]
        self.not_mended = self.not_mended or not_mended


def ledger(scope: Scope) -> Iterator[Finding]:
    """One finding per series and kind of drift."""
    drifts: dict[tuple[int, str], _Drift] = {}
    for span in scope.spans():
        rows = scope.audit.ledger_drift(span, scope.series_ids, MOST_TOLD)
        series_ids = dict.fromkeys(row["series_id"] for row in rows) if scope.repair else {}
        not_mended = {one: scope.attempt(partial(scope.audit.recount, one, span)) for one in series_ids}
        for row in rows:
            key = (row["series_id"], DRIFTS[row["name"]][0])
            drift = drifts.setdefault(key, _Drift(Interval(row["first_ms"], row["past_ms"])))
            drift.add(row, not_mended.get(row["series_id"]))
    for (series_id, kind), drift in drifts.items():
        finding = _finding(series_id, kind, drift)
        yield after_repair(finding, drift.not_mended) if scope.repair else finding


def _finding(series_id: int, kind: str, drift: _Drift) -> Finding:
    says = " and ".join(f"{some(bars, 'bar')} {DRIFTS[name][1]}" for name, bars in drift.bars.items())
    return Finding(
        kind,
        "drift",
        series_id,
        start_ms=calendar_ms(drift.hull.start),
        end_ms=calendar_ms(drift.hull.end),
        detail={"bars": drift.bars, "intervals_ms": drift.intervals, "says": says},
    )

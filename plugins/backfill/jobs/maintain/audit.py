"""Audit: recompute everything kept beside the candles from the candles.

No exchange is asked. Postgres does most of the work, by month and series, so memory stays flat. ``findings`` gets new
findings; earlier ones that are gone are settled. ``repair`` fixes what it can without loss, each in its own transaction
(docs/decisions/0017-what-the-audit-mends.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from backfill.domain.timeframes import utc
from backfill.errors import UnknownSymbol
from backfill.jobs.maintain.checks import broken_candles, counts, ledger, partitions, strays, timeframes
from backfill.jobs.maintain.checks.scope import Scope
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding

Check = Callable[[Scope], Iterator[Finding]]

# Later checks count what earlier ones moved.
CHECKS: dict[str, Check] = {
    "broken candles": broken_candles.broken_candles,
    "partitions": partitions.partitions,
    "ledger": ledger.ledger,
    "months": partitions.months,
    "strays": strays.strays,
    "counts": counts.counts,
    "timeframes": timeframes.timeframes,
}
# Left out for single symbols.
OF_NO_SERIES = ("partitions", "months")
# Checks that only the audit makes.
KINDS = (*broken_candles.KINDS, *partitions.KINDS, *ledger.KINDS, *strays.KINDS, *counts.KINDS)


@dataclass(frozen=True)
class AuditReport:
    """``findings``: rows (``status`` open: a person must act); ``seconds`` by check."""

    findings: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def remaining(self) -> int:
        """Number of open findings."""
        return sum(row["status"] == "open" for row in self.findings)

    @property
    def mended(self) -> int:
        """Number of repaired findings."""
        return sum(row["mended"] for row in self.findings)

    @property
    def lines(self) -> list[str]:
        """One line per finding."""
        return [" ".join(filter(None, (row["symbol"], row["timeframe"], _sentence(row)))) for row in self.findings]

    def totals(self) -> dict[str, int]:
        """Counts of found, mended and remaining findings."""
        return {"found": len(self.findings), "mended": self.mended, "remaining": self.remaining}


def audit(
    store: CandleStore, *, repair: bool = False, at: datetime | None = None, symbols: Sequence[str] | None = None
) -> AuditReport:
    """Audit ``symbols``, or everything, as of ``at`` (default now).

    Raises :class:`UnknownSymbol`, and database errors.
    """
    scope = Scope(store, at or store.now(), repair, symbols)
    _refuse_unknown(scope)
    began = store.now()
    report = AuditReport()
    for name, check in CHECKS.items():
        if scope.is_whole or name not in OF_NO_SERIES:
            started = monotonic()
            report.findings.extend(_written_down(scope, list(check(scope))))
            report.seconds[name] = round(monotonic() - started, 3)
    scope.audit.settle(KINDS, began, scope.series_ids)
    timeframes.settle_timeframes(scope, began)
    return report


def _refuse_unknown(scope: Scope) -> None:
    known = {one.symbol for one in scope.series.values()}
    for symbol in scope.symbols or ():
        if symbol not in known:
            raise UnknownSymbol(symbol, sorted(known))


def _written_down(scope: Scope, found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Recorded findings as rows for people; dismissed ones stay so."""
    ids = scope.store.findings.record(found)
    open_ids = scope.audit.open_findings(ids)
    return [_row(scope, one, is_open=number in open_ids) for number, one in zip(ids, found, strict=True)]


def _row(scope: Scope, finding: Finding, *, is_open: bool) -> dict[str, Any]:
    series = scope.series.get(finding.series_id or 0)
    return {
        "symbol": series.symbol if series else None,
        "timeframe": series.timeframe if series else None,
        "kind": finding.kind,
        "verdict": finding.verdict,
        "status": "open" if is_open else "settled",
        "mended": bool(finding.detail.get("mended")),
        "start_time": None if finding.start_ms is None else utc(finding.start_ms),
        "end_time": None if finding.end_ms is None else utc(finding.end_ms),
        "says": finding.detail["says"],
        "detail": finding.detail,
    }


def _sentence(row: dict[str, Any]) -> str:
    sentence = f"{row['kind']}: {row['says']}"
    if row["mended"]:
        return f"{sentence}; mended"
    return f"{sentence}; not mended: {row['detail']['not_mended']}" if "not_mended" in row["detail"] else sentence

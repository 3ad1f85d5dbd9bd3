"""Is what we say of the candles true? All that is kept beside them is worked out again from the candles themselves.

Nothing is asked of any exchange, and most of the work is Postgres's: month by month and series by series, so that
memory stays flat however much is stored. Each finding is a row in ``findings`` and a line for people; those of an
earlier audit that are gone are settled. With ``repair`` what can be mended without losing anything is mended, each
repair in a transaction of its own beside other writers (docs/decisions/0017-what-the-audit-mends.md).
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

# Rows before tables before the ledger: what the first have moved, the last counts.
CHECKS: dict[str, Check] = {
    "broken candles": broken_candles.broken_candles,
    "partitions": partitions.partitions,
    "ledger": ledger.ledger,
    "months": partitions.months,
    "strays": strays.strays,
    "counts": counts.counts,
    "timeframes": timeframes.timeframes,
}
# They concern no series: an audit of some symbols leaves them out.
OF_NO_SERIES = ("partitions", "months")
# Checks that only the audit makes.
KINDS = (*broken_candles.KINDS, *partitions.KINDS, *ledger.KINDS, *strays.KINDS, *counts.KINDS)


@dataclass(frozen=True)
class AuditReport:
    """``findings``: what was seen, a row each (``status`` open: a person must act); ``seconds`` of each check."""

    findings: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def remaining(self) -> int:
        return sum(row["status"] == "open" for row in self.findings)

    @property
    def mended(self) -> int:
        return sum(row["mended"] for row in self.findings)

    @property
    def lines(self) -> list[str]:
        return [" ".join(filter(None, (row["symbol"], row["timeframe"], _sentence(row)))) for row in self.findings]

    def totals(self) -> dict[str, int]:
        return {"found": len(self.findings), "mended": self.mended, "remaining": self.remaining}


def audit(
    store: CandleStore, *, repair: bool = False, at: datetime | None = None, symbols: Sequence[str] | None = None
) -> AuditReport:
    """Audit the series of ``symbols``, or everything there is, as of ``at`` (now).

    Raises :class:`UnknownSymbol` for an unknown instrument, and the database's errors.
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
    """The findings as rows for people, once they are in ``findings``: what a person has dismissed there stays so."""
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

"""Candles that break a structural rule, from foreign INSERTs.

Repair moves them to the quarantine, the row as payload; the next fill requests the bars. Manual and released candles
are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from backfill.domain.candle_rules import CLOCK_SLACK_MS
from backfill.domain.intervals import Interval
from backfill.jobs.maintain.checks.scope import MOST_TOLD, Scope, after_repair, calendar_ms, some
from backfill.storage.findings import Finding
from backfill.storage.ledger_audit import Row

KINDS = ("broken_candle", "off_grid")
OFF_GRID = "open_time_is_off_the_grid"


@dataclass
class _Found:
    bars: int
    first_ms: int
    past_ms: int
    opens_ms: list[int]
    not_mended: str | None = None

    def add(self, more: _Found) -> None:
        """Merge those of a later span."""
        self.bars += more.bars
        self.past_ms = more.past_ms
        self.opens_ms = (self.opens_ms + more.opens_ms)[:MOST_TOLD]
        self.not_mended = self.not_mended or more.not_mended


def broken_candles(scope: Scope) -> Iterator[Finding]:
    """One finding per series and rule."""
    found: dict[tuple[int, str], _Found] = {}
    for span in scope.spans():
        rows = _broken(scope, span, scope.series_ids)
        not_mended = _mend(scope, span, rows)
        for row in rows:
            series_id, rule = row.pop("series_id"), row.pop("rule")
            one = _Found(**row, not_mended=not_mended.get(series_id))
            if (series_id, rule) in found:
                found[series_id, rule].add(one)
            else:
                found[series_id, rule] = one
    for (series_id, rule), one in found.items():
        finding = Finding(
            "off_grid" if rule == OFF_GRID else "broken_candle",
            "broken",
            series_id,
            start_ms=calendar_ms(one.first_ms),
            end_ms=calendar_ms(one.past_ms),
            field=rule,
            detail={"bars": one.bars, "opens_ms": one.opens_ms, "says": f"{some(one.bars)}: {rule.replace('_', ' ')}"},
        )
        yield after_repair(finding, one.not_mended) if scope.repair else finding


def _broken(scope: Scope, span: Interval, series_ids: list[int] | None, *, repair: bool = False) -> list[Row]:
    return scope.audit.broken_candles(
        span, series_ids, at=scope.at, clock_slack_ms=CLOCK_SLACK_MS, most_told=MOST_TOLD, repair=repair
    )


def _mend(scope: Scope, span: Interval, rows: list[Row]) -> dict[int, str | None]:
    """By series, why quarantining failed, or None."""
    if not scope.repair:
        return {}
    hulls: dict[int, Interval] = {}
    for row in rows:
        first_ms, past_ms = hulls.get(row["series_id"], Interval(row["first_ms"], row["past_ms"]))
        hulls[row["series_id"]] = Interval(min(first_ms, row["first_ms"]), max(past_ms, row["past_ms"]))
    return {series_id: scope.attempt(partial(_quarantine, scope, series_id, hull)) for series_id, hull in hulls.items()}


def _quarantine(scope: Scope, series_id: int, hull: Interval) -> None:
    """Move the candles, then recount, with the ledger's triggers off.

    Triggers would drop a valid bar beside an open time a microsecond off.
    """
    scope.audit.keep_ledger()
    _broken(scope, hull, [series_id], repair=True)
    scope.audit.recount(series_id, hull)

"""Summarize one Dag run from its run log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from backfill.domain.timeframes import MINUTE_MS
from backfill.jobs.status.alerts import outage_text
from backfill.jobs.status.market_wide_holes import EXPLAINED, market_wide_holes
from backfill.storage.candle_store import CandleStore
from backfill.storage.run_reports import attempts_of_dag_run, external_outage
from backfill.storage.series import Selection
from backfill.storage.series_status import leaving_reach

COUNTS = ("requests", "rows_inserted", "rows_revised", "rows_quarantined", "absent_found")
MOST_FAILURES_TOLD = 10
# candles_maintain looks further back.
MARKET_WIDE_LOOKBACK = timedelta(hours=24)
# Younger gaps are still being filled.
EXCUSED_MS = 60 * MINUTE_MS
# Counts of a validation, in bars.
VERDICTS = ("agreed", "disagree", "silent", "unverified", "no_trade_proved", "lost_proved", "rows_restored")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RunSummary:
    """``totals``: summed counts, ``series``, ``missing_after`` and ``sources`` (rows by source).

    ``failures``: one sentence each; ``leaving``: bars that soon no source can give. ``outage``: the alert if all
    external sources failed for too long. ``note``: one sentence.
    """

    totals: dict[str, Any]
    lines: list[str]
    failures: list[str]
    outage: str | None
    leaving: list[str]
    note: str


@dataclass
class _Series:
    """All attempts on one series; the last fill decides its state.

    ``was_served``: the primary source answered, so a fallback's later failure does not fail the run.
    """

    last: Row
    missing_before: int
    counts: Counter[str]
    sources: Counter[str]
    was_served: bool = False
    validated: Row | None = None

    @property
    def failures(self) -> list[Row]:
        """Attempts that fail the run: last fill and validation."""
        not_filled = self.last["status"] in ("abandoned", "running") or (
            self.last["status"] == "failed" and not self.was_served
        )
        refused = self.validated is not None and self.validated["status"] in ("abandoned", "running", "failed")
        return [row for row, bad in ((self.last, not_filled), (self.validated, refused)) if bad and row is not None]

    @property
    def missing_after(self) -> int:
        """Bars missing after the last attempt."""
        return (self.validated or self.last)["missing_after"] or 0


def report_run(
    store: CandleStore, dag_id: str, run_id: str, symbols: Sequence[str], alert_after_hours: float
) -> RunSummary:
    """Summarize a run. Each of ``symbols`` needs an attempt, the last not failed."""
    series = _by_series(store, dag_id, run_id)
    worst_first = sorted(
        series.values(), key=lambda one: (-one.missing_after, one.last["symbol"], one.last["timeframe"])
    )
    totals: dict[str, Any] = {name: sum(one.counts[name] for one in worst_first) for name in COUNTS}
    totals |= {
        "series": len(series),
        "missing_after": sum(one.missing_after for one in worst_first),
        "sources": dict(sum((one.sources for one in worst_first), Counter())),
    }
    failures = [
        f"{row['symbol']} {row['timeframe']} {row['status']}: {row['error'] or 'no reason given'}"
        for one in worst_first
        for row in one.failures
    ]
    logged = {symbol for symbol, _ in series}
    failures += [f"{symbol}: no attempt was logged" for symbol in sorted(set(symbols) - logged)]
    if len(failures) > MOST_FAILURES_TOLD:
        failures[MOST_FAILURES_TOLD:] = [f"and {len(failures) - MOST_FAILURES_TOLD} more"]
    lines = [_line(one) for one in worst_first] + _source_lines(store, run_id)
    if any(map(_lacks_bars, worst_first)):
        at = store.now()
        lines += [str(hole.detail["says"]) for hole in market_wide_holes(store, at=at, since=at - MARKET_WIDE_LOOKBACK)]
    lines.append(_in_all(totals))
    leaving = [str(one) for one in leaving_reach(store, Selection(store.now(), symbols=list(symbols)), EXCUSED_MS)]
    note = _note(worst_first, store.now(), failures)
    return RunSummary(totals, lines, failures, _outage(store, alert_after_hours), leaving, note)


def _by_series(store: CandleStore, dag_id: str, run_id: str) -> dict[tuple[str, str], _Series]:
    series: dict[tuple[str, str], _Series] = {}
    for row in attempts_of_dag_run(store, dag_id, run_id):
        key = (row["symbol"], row["timeframe"])
        one = series.setdefault(key, _Series(row, row["missing_before"], Counter(), Counter()))
        if row["validation"] is not None:
            one.validated = row
        else:
            one.last = row
            one.was_served |= row["status"] == "partial" and row["error"] is None
        one.counts.update({name: row[name] for name in COUNTS})
        one.sources.update(row["sources"])
    return series


def _note(series: Sequence[_Series], at: datetime, failures: Sequence[str]) -> str:
    """Such as "32 series complete as of 14:30 UTC: 32 filled from blofin, 4 from bybit"."""
    complete = sum(one.missing_after == 0 for one in series)
    share = f"{complete:,}" if complete == len(series) else f"{complete:,} of {len(series):,}"
    note = f"{share} series complete as of {at:%H:%M} UTC"
    filled = Counter(source for one in series for source, rows in one.sources.items() if rows)
    if filled:
        counts = [f"{count:,} from {source}" for source, count in filled.most_common()]
        note += f": {counts[0].replace(' from', ' filled from')}" + "".join(f", {count}" for count in counts[1:])
    return note + (f"; failed: {failures[0]}" if failures else "")


def _line(one: _Series) -> str:
    last = one.last
    return (
        f"{last['symbol']} {last['timeframe']} {last['status']}: {_stored(one.counts, one.sources)}, "
        f"{one.missing_after:,} of {one.missing_before:,} still missing, {_requests(one.counts)}"
        + (f"; {last['error']}" if last["error"] else "")
        + (_verdict(one.validated) if one.validated else "")
    )


def _in_all(totals: Mapping[str, Any]) -> str:
    return (
        f"in all {totals['series']:,} series: {_stored(totals, totals['sources'])}, "
        f"{totals['missing_after']:,} still missing, {_requests(totals)}"
    )


def _requests(counts: Mapping[str, int]) -> str:
    return "1 request" if counts["requests"] == 1 else f"{counts['requests']:,} requests"


def _stored(counts: Mapping[str, int], sources: Mapping[str, int]) -> str:
    """Such as "95 inserted (okx 95), 1 revised"."""
    by_source = ", ".join(f"{name} {rows:,}" for name, rows in Counter(sources).most_common() if rows)
    rare = {"rows_revised": "revised", "rows_quarantined": "in quarantine", "absent_found": "found absent"}
    said = [
        f"{counts['rows_inserted']:,} inserted",
        *(f"{counts[name]:,} {what}" for name, what in rare.items() if counts[name]),
    ]
    return ", ".join(said) + (f" ({by_source})" if by_source else "")


def _lacks_bars(one: _Series) -> bool:
    open_findings = one.validated["validation"].get("open_findings", {}) if one.validated else {}
    return one.counts["absent_found"] > 0 or any(kind in open_findings for kind in EXPLAINED)


def _verdict(validated: Row) -> str:
    """That nothing was due is not a good result."""
    found = validated["validation"]
    counted = [f"{found[name]:,} {name.replace('_', ' ')}" for name in VERDICTS if found.get(name)]
    return f"; validated: {', '.join(counted) or 'nothing was due'}" + (
        f"; {validated['error']}" if validated["error"] else ""
    )


def _source_lines(store: CandleStore, run_id: str) -> list[str]:
    return [
        f"{source['source']} is not asked ({source['state']}): {source['last_error']}"
        for source in store.health(run_id).all()
        if source["state"] != "closed"
    ]


def _outage(store: CandleStore, alert_after_hours: float) -> str | None:
    outage = external_outage(store)
    if outage is None or outage.hours < alert_after_hours:
        return None
    return outage_text(outage.hours, outage.errors)

"""What a Dag run did, from rows already read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COMPLETE, FAILURE, GAPS_REMAIN = 0, 1, 3

RARE = ("absent", "revised", "quarantined", "error")
COUNTS = ("requests_planned", "requests", "rows_inserted", "rows_revised", "rows_quarantined", "absent_found")

Row = Mapping[str, Any]
Key = tuple[str, str]


@dataclass
class SeriesResult:
    """One series before and after: per cent of existing bars, counts of all attempts.

    ``holes``, ``missing_before``: what the first attempt found. ``filled``: bars by source, those that a validation
    replaced aside. ``silent``: bars established as without a trade.
    """

    symbol: str
    timeframe: str
    coverage_before: float
    coverage_after: float
    missing: int
    absent: int
    counts: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    error: str | None = None
    holes: int = 0
    missing_before: int = 0
    filled: Counter[str] = field(default_factory=Counter)
    silent: int = 0

    @property
    def key(self) -> Key:
        """Symbol and timeframe."""
        return self.symbol, self.timeframe

    def as_row(self) -> dict[str, Any]:
        """A table row, what matters most first: see :func:`shown_columns`."""
        sources = ", ".join(f"{name} {rows:,}" for name, rows in self.sources.most_common())
        return {
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "before %": self.coverage_before,
            "after %": self.coverage_after,
            "missing": self.missing,
            "inserted": self.counts["rows_inserted"],
            "requests": self.counts["requests"],
            "revised": self.counts["rows_revised"],
            "quarantined": self.counts["rows_quarantined"],
            "absent": self.absent,
            "requests_planned": self.counts["requests_planned"],
            "sources": sources,
            "error": self.error,
        }


@dataclass(frozen=True)
class RunProgress:
    """Candles expected and missing, series with gaps, requests."""

    expected: int
    missing: int
    open_series: int
    requests: int

    @property
    def held(self) -> int:
        """The number of stored candles."""
        return self.expected - self.missing

    def __str__(self) -> str:
        coverage = 100 * self.held / self.expected if self.expected else 0.0
        return f"{coverage:.1f} % covered, {self.open_series} series with gaps, {self.requests} requests"


@dataclass(frozen=True)
class RunRows:
    """A run's rows: states (sync_status_at), gaps, attempts (oldest first).

    Gaps as of the run's own time: bars closed since are not missing.
    """

    states: Sequence[Row]
    gaps: Sequence[Row]
    attempts: Sequence[Row]

    def missing(self) -> Counter[Key]:
        """Missing candles of each series with gaps."""
        counts: Counter[Key] = Counter()
        for gap in self.gaps:
            counts[gap["symbol"], gap["timeframe"]] += gap["missing_candles"]
        return counts


def progress(rows: RunRows) -> RunProgress:
    """How far the run is."""
    missing = rows.missing()
    return RunProgress(
        expected=sum(state["expected_candles"] for state in rows.states),
        missing=missing.total(),
        open_series=len(missing),
        requests=sum(attempt["requests"] for attempt in rows.attempts),
    )


def series_results(rows: RunRows) -> list[SeriesResult]:
    """One result per state. Without an attempt nothing was missing, or no run reached it."""
    missing = rows.missing()
    results: dict[Key, SeriesResult] = {}
    for state in rows.states:
        key = (state["symbol"], state["timeframe"])
        coverage = state["coverage_pct"] if missing[key] else 100.0
        absent = state["absent_candles"]
        silent = absent - state["doubtful_candles"]
        results[key] = SeriesResult(*key, coverage, coverage, missing[key], absent, silent=silent)
    seen: set[Key] = set()
    for attempt in rows.attempts:
        key = (attempt["symbol"], attempt["timeframe"])
        result = results.get(key)
        if result is None:
            continue
        if key not in seen:
            result.coverage_before = attempt["coverage_before"]
            result.holes, result.missing_before = attempt["gaps_found"], attempt["missing_before"]
            seen.add(key)
        result.counts.update({name: attempt[name] for name in COUNTS})
        result.sources.update(attempt["sources"])
        if attempt["validation"] is None:
            result.filled.update(attempt["sources"])
        result.error = attempt["error"]
    return list(results.values())


def totals(results: Sequence[SeriesResult]) -> dict[str, int]:
    """Every count summed up, and what is missing."""
    summed: Counter[str] = Counter()
    for result in results:
        summed.update(result.counts)
    return {
        "series": len(results),
        **{name: summed[name] for name in COUNTS},
        "missing": sum(result.missing for result in results),
    }


def shown_columns(rows: Sequence[Row]) -> list[str]:
    """Columns of ``as_row`` to show; rare events only if any."""
    if not rows:
        return []
    hidden = {name for name in RARE if not any(row[name] for row in rows)}
    if all(row["requests"] == row["requests_planned"] for row in rows):
        hidden.add("requests_planned")
    return [name for name in rows[0] if name not in hidden]


def in_words(summed: Mapping[str, int]) -> str:
    """The totals as a sentence."""
    return (
        f"{summed['rows_inserted']:,} rows inserted, {summed['rows_revised']:,} revised, "
        f"{summed['rows_quarantined']:,} quarantined; {summed['absent_found']:,} bars found absent; "
        f"{summed['requests']:,} requests ({summed['requests_planned']:,} planned); "
        f"{summed['missing']:,} candles of {summed['series']} series still missing"
    )


def exit_code(state: str, results: Sequence[SeriesResult]) -> int:
    """0: succeeded, nothing missing. 3: gaps remain. 1: failed."""
    if state != "success" or not results:
        return FAILURE
    return GAPS_REMAIN if any(result.missing for result in results) else COMPLETE

"""One validation as a document that a person can file: what was checked, by which rules, and all that is left open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from backfill import __version__
from backfill.config.universe_model import Validation
from backfill.domain.gap_severity import severity
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import timeframe, utc
from backfill.jobs.validate.validate_series import ValidationReport
from backfill.storage.candle_store import CandleStore
from backfill.storage.checks import SeriesChecks
from backfill.storage.conditions import USABLE, conditions
from backfill.storage.series import Selection, SeriesWindow
from backfill.storage.series_status import leaving_reach

MOST_GAPS = 1000

Document = dict[str, Any]


def validation_document(
    store: CandleStore,
    which: Selection,
    windows: Sequence[SeriesWindow],
    reports: Sequence[ValidationReport],
    validation: Validation,
    *,
    at: datetime,
) -> Document:
    """The document; its values are ready for JSON, but for datetimes."""
    by_name = {(window.symbol, window.timeframe): window for window in windows}
    days = conditions(store, which)
    leaving = leaving_reach(store, which)
    findings = store.findings.all(symbols=sorted({window.symbol for window in windows}))
    series = [
        _series(store, report, by_name[report.symbol, report.timeframe], validation, days, findings)
        | {"leaving_reach": [one._asdict() for one in leaving if one[:2] == (report.symbol, report.timeframe)]}
        for report in reports
    ]
    problems = sum(len(report.problems) for report in reports)
    return {
        "document": "validation",
        "version": __version__,
        "made_at": at,
        "configuration": validation.model_dump(by_alias=True),
        "verdict": "problems" if problems else "well",
        "problems": problems,
        "not_validated": sorted(" ".join(name) for name in by_name.keys() - {one_of(report) for report in reports}),
        "totals": {
            "series": len(reports),
            "missing": sum(report.missing for report in reports),
            "requests": sum(report.requests for report in reports),
            "counts": dict(sum((Counter(report.counts) for report in reports), Counter())),
            "conditions": dict(Counter(row["condition"] for row in days)),
        },
        "series": series,
    }


def one_of(report: ValidationReport) -> tuple[str, str]:
    """Which series a report is of."""
    return report.symbol, report.timeframe


def _series(
    store: CandleStore,
    report: ValidationReport,
    window: SeriesWindow,
    validation: Validation,
    days: Sequence[Document],
    findings: Sequence[Document],
) -> Document:
    step_ms = timeframe(window.timeframe).step_ms
    gaps = SeriesChecks(store, window).worst_gaps(Interval(window.start_ms, window.end_ms), MOST_GAPS)
    mine = [row for row in days if (row["symbol"], row["timeframe"]) == one_of(report)]
    return {
        **report.as_dict(),
        "window": {"start": utc(window.start_ms), "end": utc(window.end_ms)},
        "sources": store.source_names(window.source_ids),
        "gaps": [
            {**gap._asdict(), "severity": severity(gap.bars * step_ms, validation.max_gap_minutes)} for gap in gaps
        ],
        "findings": [
            finding
            for finding in findings
            if (finding["symbol"], finding["timeframe"]) == one_of(report)
            and finding["start_time"] is not None
            and finding["start_time"] < utc(window.end_ms)
        ],
        "conditions": dict(Counter(row["condition"] for row in mine)),
        "unusable_days": [
            {name: row[name] for name in ("condition", "reason", "would_change")} | {"day": row["day"].isoformat()}
            for row in mine
            if row["condition"] not in USABLE
        ],
    }

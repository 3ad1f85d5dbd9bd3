"""Find outages: bars that most series of a source lack.

A bar is lacking if confirmed absent, or flat without volume although the coin usually trades, as exchanges publish
halts.
"""

from __future__ import annotations

from datetime import datetime

from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding
from backfill.storage.source_outages import OutageRule, SourceOutage, settle_explained_findings, source_outages

# `fewest`: two coins may be quiet or halted together. `rests`: coins with more flat bars are ignored; three of six
# coins just below it are flat in the same bar once in 50,000 bars.
RULE = OutageRule(share=0.5, fewest=3, rests=0.01, most_symbols=20)
# Explained per-series findings.
EXPLAINED = ("flat_bars", "lost_bars")
# Less traded coins fall silent earlier, and all open anywhere afterwards: on 2022-12-18 XRP and OP were silent for two
# thirds of the 110 minutes before OKX's halt of ten hours.
EXPLAINED_AROUND, AROUND_SHARE = ("flat_bars", "price_jump", "continuity"), 0.25


def market_wide_holes(store: CandleStore, *, at: datetime, since: datetime) -> list[Finding]:
    """Record outages between ``since`` and ``at`` as settled, with the findings they explain.

    A known one that began before ``since`` keeps its finding.
    """
    outages = source_outages(store, RULE, since=since, at=at)
    findings = [_finding(outage) for outage in outages]
    for outage_id, outage in zip(store.findings.record(findings), outages, strict=True):
        around_ms = round(AROUND_SHARE * (outage.end_ms - outage.start_ms))
        settle_explained_findings(
            store, outage, outage_id, EXPLAINED, kinds_around=EXPLAINED_AROUND, around_ms=around_ms
        )
    return findings


def _finding(outage: SourceOutage) -> Finding:
    when = f"{utc(outage.start_ms):%Y-%m-%d %H:%M} to {utc(outage.end_ms):%Y-%m-%d %H:%M}"
    lacking = f"{outage.series} of {outage.of_series} series"
    return Finding(
        "source_outage",
        "outage",
        source_id=outage.source_id,
        start_ms=outage.start_ms,
        end_ms=outage.end_ms,
        field=outage.timeframe,
        detail={
            "timeframe": outage.timeframe,
            "series": outage.series,
            "of": outage.of_series,
            "symbols": outage.symbols,
            "says": f"{outage.source} has no {outage.timeframe} bars of {lacking}, {when}",
        },
        status="settled",
    )

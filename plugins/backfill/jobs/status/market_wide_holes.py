"""A bar that most series of a source lack is an outage of that source: one finding, not hundreds.

To lack a bar is to have been denied it by the source, or to have been told a flat bar without volume where the coin
trades otherwise: exchanges write their own halts that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.findings import Finding, FindingsLog
from backfill.storage.named_queries import query

# Half of those that say anything of a bar, and at least three: two coins may rest, or be halted, at the same time.
SHARE, FEWEST = 0.5, 3
# Of a coin that is flat in more than one of a hundred other bars, a flat bar says nothing of its source. Three of six
# coins that rest as often as that, each on its own, share a bar once in 50,000.
RESTS = 0.01
MOST_SYMBOLS = 20
# Findings in single series that an outage explains.
EXPLAINED = ("flat_bars", "lost_bars")


def market_wide_holes(store: CandleStore, *, at: datetime, since: datetime) -> list[Finding]:
    """Find the outages between ``since`` and ``at``, write them down, and settle what they explain.

    Each is settled from the start: there is nothing to do. One that reaches back over ``since`` and was found before
    stays the one it was.
    """
    outages = [(_finding(row), row) for row in _outages(store, at, since)]
    ids = FindingsLog(store.connection).record([finding for finding, _ in outages])
    for outage_id, (_, row) in zip(ids, outages, strict=True):
        with translated_errors():
            params = {**row, "outage_id": outage_id, "kinds": list(EXPLAINED)}
            store.connection.execute(query("findings/explain_by_outage"), params)
    return [finding for finding, _ in outages]


def _outages(store: CandleStore, at: datetime, since: datetime) -> Sequence[dict[str, Any]]:
    params = {
        "since_ms": round(since.timestamp() * 1000),
        "at_ms": round(at.timestamp() * 1000),
        "share": SHARE,
        "fewest": FEWEST,
        "rests": RESTS,
        "most_symbols": MOST_SYMBOLS,
    }
    with translated_errors(), store.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("findings/select_source_outages"), params).fetchall()


def _finding(row: dict[str, Any]) -> Finding:
    when = f"{utc(row['start_ms']):%Y-%m-%d %H:%M} to {utc(row['end_ms']):%Y-%m-%d %H:%M}"
    lacking = f"{row['series']} of {row['of_series']} series"
    return Finding(
        "source_outage",
        "outage",
        source_id=row["source_id"],
        start_ms=row["start_ms"],
        end_ms=row["end_ms"],
        field=row["timeframe"],
        detail={
            "timeframe": row["timeframe"],
            "series": row["series"],
            "of": row["of_series"],
            "symbols": row["symbols"],
            "says": f"{row['source']} has no {row['timeframe']} bars of {lacking}, {when}",
        },
        status="settled",
    )

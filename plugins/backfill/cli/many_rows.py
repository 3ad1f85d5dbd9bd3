"""Show many series: a summary by timeframe, then the rows that need attention, worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from backfill.cli.output import Output, Row
from backfill.domain.timeframes import timeframe

FEW_ROWS = 50
# Series in these states need nothing.
SETTLED = ("complete", "insufficient_history", "ended")
SUMMARY_COLUMNS = ("timeframe", "series", "settled", "rows", "missing_candles", "worst")


def show_rows(
    output: Output,
    title: str,
    rows: Sequence[Row],
    columns: Sequence[str],
    limit: int | None,
    worst: Callable[[Row], tuple[float, ...]],
) -> None:
    """All rows up to ``limit`` (None: any number), else a summary and the ``limit`` worst unsettled ones."""
    if limit is None or len(rows) <= limit:
        output.table(f"{len(rows)} {title}", rows, columns)
        return
    # Gaps have no state, and are many per series; else a row is a series.
    left_out = "rows" if "status" in columns else "settled"
    output.table(f"{len(rows):,} {title}", _summary(rows), [name for name in SUMMARY_COLUMNS if name != left_out])
    unsettled = sorted((row for row in rows if row.get("status") not in SETTLED), key=worst, reverse=True)
    if unsettled:
        shown = unsettled[:limit]
        output.table(f"the worst {len(shown):,} of {len(unsettled):,}; --all shows every one", shown, columns)


def _summary(rows: Iterable[Row]) -> list[Row]:
    """One row per timeframe; ``worst``: the symbol that lacks most."""
    of: dict[str, list[Row]] = {}
    for row in rows:
        of.setdefault(row["timeframe"], []).append(row)
    return [
        {
            "timeframe": name,
            "series": len({row["symbol"] for row in same}),
            "rows": len(same),
            "settled": sum(row.get("status") in SETTLED for row in same),
            "missing_candles": sum(map(missing, same)),
            "worst": max(same, key=missing)["symbol"] if any(map(missing, same)) else "",
        }
        for name, same in sorted(of.items(), key=lambda item: timeframe(item[0]).step_ms)
    ]


def missing(row: Row) -> int:
    """Bars that a status, a gap or a report lacks."""
    return int(row.get("missing_candles", row.get("missing_after")) or 0)


def worst_series(row: Row) -> tuple[float, ...]:
    """Failures first, then by missing bars."""
    return (row["status"] in ("error", "failed"), missing(row))

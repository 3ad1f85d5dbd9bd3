"""Validations over several sources, and what the database says of them afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from backfill.config.universe_model import Validation
from backfill.domain.timeframes import utc
from backfill.jobs.validate.validate_series import ValidationReport
from backfill.jobs.validate.validate_universe import validate_universe
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import SeriesWindow
from integration.fallback.conftest import Venues
from integration.fallback.fills import native_candles
from integration.helpers import NOW_MS, rows

_numbers = itertools.count(1)


def validate(
    venues: Venues, windows: Sequence[SeriesWindow], *, at_ms: int = NOW_MS, thorough: bool = False, **how: Any
) -> list[ValidationReport]:
    """One validation of each window."""
    who = RunIdentity("test", f"validation {next(_numbers)}", "validate")
    with venues.open_runtime() as runtime:
        reports = validate_universe(runtime, windows, who, Validation(**how), at=utc(at_ms), thorough=thorough)
        return sorted(reports, key=lambda report: (report.symbol, report.timeframe))


def findings(store: CandleStore, *kinds: str, status: str | None = "open") -> list[dict[str, Any]]:
    """What was found, oldest bar first; of these kinds, or all but the word that a page was looked at."""
    names = ("kind", "verdict", "status", "start_ms", "field", "stored", "other", "difference", "detail", "source")
    found = rows(
        store.connection,
        "SELECT kind, verdict, status, backfill.epoch_ms(start_time), field, stored, other, difference, detail, s.name "
        "FROM backfill.findings LEFT JOIN backfill.sources AS s ON s.id = source_id "
        "WHERE (status = %s OR %s::text IS NULL) AND (kind = ANY (%s) OR %s) ORDER BY start_time, field",
        (status, status, list(kinds), not kinds),
    )
    return [dict(zip(names, row, strict=True)) for row in found]


def page_checks(store: CandleStore, kind: str) -> list[tuple[str, str | None, dict[str, Any]]]:
    """What was said of whole pages: verdict, who was asked, counts."""
    return rows(
        store.connection,
        "SELECT verdict, s.name, detail FROM backfill.findings LEFT JOIN backfill.sources AS s ON s.id = source_id "
        "WHERE kind = %s AND field IS NULL ORDER BY start_time, s.name",
        (kind,),
    )


def span_of(store: CandleStore, window: SeriesWindow, column: str) -> list[tuple[int, int]]:
    """One of the multiranges of a series, oldest first, in ms."""
    sql = f"SELECT lower(one), upper(one) FROM backfill.series, unnest({column}) AS one WHERE id = %s ORDER BY 1"
    return rows(store.connection, sql, (window.series_id,))


def revisions(store: CandleStore, window: SeriesWindow) -> list[tuple[Any, ...]]:
    """Open ms and reason of each candle that was replaced."""
    sql = "SELECT backfill.epoch_ms(open_time), reason FROM backfill.revisions WHERE series_id = %s ORDER BY open_time"
    return rows(store.connection, sql, (window.series_id,))


def insert_native(store: CandleStore, window: SeriesWindow) -> None:
    """The primary source's candles of a window, written by a live ingester."""
    store.prepare(window)
    with store.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO backfill.candles VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (window.series_id, utc(open_ms), *bar, store.source_id("blofin"))
                for open_ms, *bar in native_candles(window)
            ],
        )

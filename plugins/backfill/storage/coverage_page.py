"""Read-only queries of the pages and of their API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from backfill.domain.timeframes import DAY_MS, FIRST_MONDAY_MS, utc
from backfill.storage.database import Connection, translated_errors
from backfill.storage.named_queries import query
from backfill.storage.series import Selection

STATEMENT_TIMEOUT_MS = 10_000
# Two rounds of the fill: bars that closed later are not overdue.
DUE_AFTER = timedelta(hours=1)
# Shown apart from faults: the first fill of a deep history takes a while.
NEW_FOR = timedelta(days=3)

Row = dict[str, Any]


class AsOf(NamedTuple):
    """The moment of an answer, and how long a bar must be closed to count."""

    at: datetime
    settle_ms: int = 0

    def as_params(self) -> Row:
        """``due_ms``: bars that closed before it are overdue."""
        due_ms = round((self.at - DUE_AFTER).timestamp() * 1000)
        return {"at": self.at, "settle_ms": self.settle_ms, "due_ms": due_ms, "new_for": NEW_FOR}


@dataclass(frozen=True)
class PageFilter:
    """Which rows of a list: None matches all. ``search``: part of a symbol; ``statuses``: status, reason or kind."""

    search: str | None = None
    symbol: str | None = None
    timeframes: list[str] | None = None
    statuses: list[str] | None = None
    limit: int = 50
    offset: int = 0


class RowsAndMore(NamedTuple):
    """One page of a list, and whether another follows."""

    rows: list[Row]
    more: bool


# The lists that are paged alike: name → query.
LISTS = {
    "runs": "runs/select_runs_page",
    "findings": "findings/select_findings_page",
    "quarantine": "by_hand/select_quarantine_page",
    "revisions": "candles/select_revisions_page",
    "instrument-log": "instruments/select_log_page",
}


def overview(connection: Connection, as_of: AsOf, which: PageFilter, sort: str, *, descending: bool) -> Row:
    """One page of the wanted series: ``rows``, ``totals`` by timeframe, ``total``."""
    params = {
        **as_of.as_params(),
        **vars(which),
        "states": which.statuses,
        "sort": sort,
        "direction": -1 if descending else 1,
    }
    (row,) = _read(connection, "series/select_overview", params)
    document: Row = row["document"]
    return document


def heat(connection: Connection, as_of: AsOf, series_ids: list[int], days: int) -> tuple[datetime, list[Row]]:
    """The first day, and for each series what each of the last ``days`` days holds and lacks."""
    today_ms = round(as_of.at.timestamp() * 1000) // DAY_MS * DAY_MS
    first_ms = today_ms - (days - 1) * DAY_MS
    params = {**as_of.as_params(), "series_ids": series_ids, "first_ms": first_ms, "days": days}
    return utc(first_ms), _read(connection, "series/select_heat", params)


def series_head(connection: Connection, as_of: AsOf, symbol: str, timeframe: str) -> Row | None:
    """One series with its window and sources; None: not kept."""
    params = {**as_of.as_params(), "symbol": symbol, "timeframe": timeframe}
    return next(iter(_read(connection, "series/select_series_head", params)), None)


def series_status(connection: Connection, as_of: AsOf, symbol: str, timeframe: str) -> Row:
    """Its row of ``sync_status``; ``not_started`` where the universe does not name it."""
    params = {**as_of.as_params(), "symbol": symbol, "timeframe": timeframe}
    (row,) = _read(connection, "series/select_series_status", params)
    return row


def bars(connection: Connection, head: Row, start: datetime, end: datetime, bucket_ms: int) -> list[Row]:
    """The candles in the span, joined into buckets."""
    params = {
        "series_id": head["series_id"],
        "primary": head["primary_id"],
        "from": start,
        "to": end,
        "bucket": timedelta(milliseconds=bucket_ms),
        "anchor": utc(FIRST_MONDAY_MS),
    }
    return _read(connection, "candles/select_buckets", params)


def bands(connection: Connection, as_of: AsOf, head: Row, start_ms: int, end_ms: int, bucket_ms: int) -> list[Row]:
    """What of the span is no candle, by kind, as intervals rounded to the buckets."""
    params = {
        **as_of.as_params(),
        "series_id": head["series_id"],
        "step_ms": head["step_ms"],
        "from_ms": start_ms,
        "to_ms": end_ms,
        "bucket_ms": bucket_ms,
    }
    return _read(connection, "ledger/select_bands", params)


def marks(connection: Connection, head: Row, start: datetime, end: datetime, limit: int) -> list[Row]:
    """Findings, outages, revisions and quarantined rows in the span, newest first."""
    params = {"series_id": head["series_id"], "from": start, "to": end, "limit": limit}
    return _read(connection, "findings/select_marks", params)


def candles(connection: Connection, head: Row, start: datetime, end: datetime, limit: int) -> RowsAndMore:
    """Stored candles in the span, oldest first."""
    params = {"series_id": head["series_id"], "from": start, "to": end, "limit": limit + 1}
    return _cut(_read(connection, "candles/select_candles_page", params), limit)


def conditions(connection: Connection, as_of: AsOf, head: Row, start_ms: int, end_ms: int) -> list[Row]:
    """The condition of each day of the series' window in the span, oldest first."""
    which = Selection(as_of.at, as_of.settle_ms, [head["symbol"]], [head["timeframe"]], start_ms, end_ms)
    return _read(connection, "series/select_conditions", which.as_params())


def gaps(
    connection: Connection,
    as_of: AsOf,
    which: PageFilter,
    sort: str,
    *,
    pending: bool,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> list[Row]:
    """One page of gaps with the sources asked; each row has the ``total``. ``pending``: also those not overdue."""
    params = {
        **as_of.as_params(),
        **vars(which),
        "reasons": which.statuses,
        "sort": sort,
        "pending": pending,
        "from_ms": start_ms,
        "to_ms": end_ms,
    }
    return _read(connection, "ledger/select_gaps_page", params)


def listed(connection: Connection, name: str, which: PageFilter, **more: Any) -> RowsAndMore:
    """One page of the list ``name`` of LISTS, newest first."""
    params = {**vars(which), **more, "limit": which.limit + 1}
    return _cut(_read(connection, LISTS[name], params), which.limit)


def sources(connection: Connection, at: datetime, hours: int) -> tuple[list[Row], list[Row]]:
    """Each source's health, and what it answered hour by hour."""
    return (
        _read(connection, "sources/select_source_health", {"at": at}),
        _read(connection, "sources/select_source_hours", {"at": at, "hours": hours}),
    )


def missing_candles(connection: Connection, as_of: AsOf) -> int:
    """Missing bars of all wanted series, pending ones included."""
    (row,) = _read(connection, "ledger/count_missing", as_of.as_params())
    return int(row["candles"])


def now() -> datetime:
    return datetime.now(timezone.utc)


def _cut(rows: list[Row], limit: int) -> RowsAndMore:
    return RowsAndMore(rows[:limit], more=len(rows) > limit)


def _read(connection: Connection, name: str, params: Row) -> list[Row]:
    with translated_errors(), connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        # Compiling these queries took longer than running them: 0.85 s against 0.2 s for 5,000 series.
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true), set_config('jit', 'off', true)",
            (str(STATEMENT_TIMEOUT_MS),),
        )
        return cursor.execute(query(name), params).fetchall()

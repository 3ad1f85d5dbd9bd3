"""Remove the bars that are older than their timeframe's retention.

A month goes at once, by dropping its partition, when no series wants any of it any more; all else goes by deleting,
some thousand bars of one series in a transaction. Whatever is said of the bars goes with them in that transaction: a
run that is killed anywhere leaves the ledger true. They are no gaps afterwards, since no window starts before the
retention of its series (docs/decisions/0020-retention-listing-readiness.md). Series without a retention keep all that
they have, and so do those that nobody wants any more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import dict_row

from backfill.domain.timeframes import timeframe, utc
from backfill.errors import DatabaseError, DatabaseUnreachable, SeriesBusy
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import fetch_one, translated_errors
from backfill.storage.named_queries import query
from backfill.storage.series import Selection, SeriesWindow

# A transaction of so many bars takes some ten ms.
BARS_AT_ONCE = 10_000
# Dropping a month needs the whole table to itself for a moment. Whoever cannot have it soon gets out of the way.
LOCK_TIMEOUT = "2s"
# Old bars can wait: a series that somebody works on is left to the next run.
PATIENCE_S = 2.0


class PrunableSeries(NamedTuple):
    """A series, and the open time (ms) of the first bar that it keeps."""

    window: SeriesWindow
    keeps_from_ms: int

    @property
    def series_id(self) -> int:
        return self.window.series_id

    def as_params(self) -> dict[str, int]:
        return {"series_id": self.series_id, "keeps_from_ms": self.keeps_from_ms}


@dataclass(frozen=True)
class PruneReport:
    """``series``: symbol, timeframe, keeps_from and the candles removed of each that had any; ``dropped``: partitions;
    ``left``: what the next run has to try again, and why."""

    series: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [
            *(f"{name} dropped" for name in self.dropped),
            *(
                f"{row['symbol']} {row['timeframe']}: {row['candles']:,} candles from before {row['keeps_from']:%F %R}"
                for row in self.series
            ),
            *self.left,
        ]

    def totals(self) -> dict[str, int]:
        candles = sum(row["candles"] for row in self.series)
        return {"candles": candles, "partitions": len(self.dropped), "left": len(self.left)}


def prune_candles(
    store: CandleStore, *, settle_ms: int = 0, dry_run: bool = False, at: datetime | None = None
) -> PruneReport:
    """Remove what is past its retention as of ``at`` (now); with ``dry_run`` only tell what that would be."""
    return _Pruning(store, at or store.now(), settle_ms).run(dry_run=dry_run)


class _Pruning:
    """One pass over all series that have a retention."""

    def __init__(self, store: CandleStore, at: datetime, settle_ms: int) -> None:
        self._store = store
        self._moment = {"at": at, "settle_ms": settle_ms}
        keeps_from_ms = {
            row["series_id"]: row["keeps_from_ms"]
            for row in self._rows("retention/select_prunable_series", self._moment)
        }
        self._series = [
            PrunableSeries(window, keeps_from_ms[window.series_id])
            for window in (store.windows(Selection(at, settle_ms)) if keeps_from_ms else ())
            if window.series_id in keeps_from_ms
        ]
        self._removed: Counter[int] = Counter()
        self._dropped: list[str] = []
        self._left: list[str] = []

    def run(self, *, dry_run: bool) -> PruneReport:
        for month in self._rows("retention/select_prunable_months", self._moment) if self._series else ():
            if self._is_past(month):
                if dry_run:
                    self._dropped.append(month["name"])
                else:
                    self._drop(month)
        for one in self._series:
            if dry_run:
                self._removed[one.series_id] = self._number("retention/count_to_prune", one.as_params())
            else:
                self._delete(one)
        rows = [
            {
                "symbol": one.window.symbol,
                "timeframe": one.window.timeframe,
                "keeps_from": utc(one.keeps_from_ms),
                "candles": self._removed[one.series_id],
            }
            for one in self._series
            if self._removed[one.series_id]
        ]
        return PruneReport(rows, self._dropped, self._left)

    def _is_past(self, month: dict[str, Any]) -> bool:
        """Whether all the rows of a month are past the retention of their series, and there is such a series."""
        past = {one.series_id for one in self._series if one.keeps_from_ms >= month["past_ms"]}
        table = _named("retention/select_series_of_partition", month["name"])
        with translated_errors():
            return bool(past) and {row[0] for row in self._store.connection.execute(table)} <= past

    def _drop(self, month: dict[str, Any]) -> None:
        connection = self._store.connection
        past = [one.series_id for one in self._series if one.keeps_from_ms >= month["past_ms"]]
        span = {"first_ms": month["first_ms"], "past_ms": month["past_ms"]}
        try:
            with translated_errors(), connection.transaction():
                connection.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
                connection.execute(_named("retention/lock_to_drop", month["name"]))
                if not self._is_past(month):
                    return  # somebody has written into it since
                held = self._rows("retention/prune_ledger", {"series_ids": past, **span})
                connection.execute(_named("retention/drop_partition", month["name"]))
        except DatabaseUnreachable:
            raise
        except DatabaseError as error:
            self._left.append(f"{month['name']} could not be dropped, its rows are deleted instead: {error}")
            return
        self._dropped.append(month["name"])
        self._removed.update({row["series_id"]: row["bars"] for row in held})

    def _delete(self, one: PrunableSeries) -> None:
        """Delete the old bars of a series, oldest first, and then take back what is said of bars that it never had."""
        try:
            with self._store.working_on(one.window, PATIENCE_S):
                past_ms = None
                while past_ms != one.keeps_from_ms:
                    past_ms = self._next_end_ms(one)
                    self._removed[one.series_id] += self._delete_before(one, past_ms)
        except SeriesBusy as error:
            self._left.append(str(error))

    def _next_end_ms(self, one: PrunableSeries) -> int:
        oldest_ms = self._number("retention/select_oldest_to_prune", one.as_params())
        if oldest_ms is None:
            return one.keeps_from_ms
        grid = timeframe(one.window.timeframe)
        return min(one.keeps_from_ms, grid.floor(oldest_ms) + BARS_AT_ONCE * grid.step_ms)

    def _delete_before(self, one: PrunableSeries, past_ms: int) -> int:
        params = {"series_id": one.series_id, "series_ids": [one.series_id], "first_ms": None, "past_ms": past_ms}
        connection = self._store.connection
        with translated_errors(), connection.transaction():
            connection.execute(query("retention/take_ledger_to_prune"), params)
            deleted = connection.execute(query("retention/delete_candles_before"), params).rowcount
            connection.execute(query("retention/prune_ledger"), params)
        return deleted

    def _rows(self, name: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        with translated_errors(), self._store.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query(name), params).fetchall()

    def _number(self, name: str, params: dict[str, Any]) -> Any:
        with translated_errors():
            return fetch_one(self._store.connection, query(name), params)[0]


def _named(name: str, table: str) -> sql.Composed:
    """A query over one partition."""
    return sql.SQL(query(name)).format(table=sql.Identifier(table))

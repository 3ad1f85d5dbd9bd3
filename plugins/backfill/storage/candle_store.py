"""Stored candles: held, missing, and the only way in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from backfill.domain.candle_columns import CandleColumns, CandleFrame
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.errors import SeriesBusy
from backfill.storage.binary_copy import CANDLE_WIRE_TYPES, candle_columns, packed, page_arrays, unpacked
from backfill.storage.closures import Closures
from backfill.storage.database import Connection, fetch_one, repeated, translated_errors
from backfill.storage.findings import FindingsLog
from backfill.storage.funding import FundingLedger
from backfill.storage.gap_fill_log import GapFillLog
from backfill.storage.imports import ImportLog
from backfill.storage.instruments import Instruments
from backfill.storage.ledger_audit import LedgerAudit
from backfill.storage.listings import Listings
from backfill.storage.locks import Hold, holding
from backfill.storage.migrations import require_current_schema
from backfill.storage.multiranges import to_intervals, to_multirange
from backfill.storage.named_queries import query
from backfill.storage.quarantine import Quarantine
from backfill.storage.rate_budget import PauseCheck, Pool, RateBudget
from backfill.storage.retention import Retention
from backfill.storage.segments import SegmentLedger
from backfill.storage.series import SERIES_LOCK, OpenWork, Selection, SeriesWindow, StoredPage
from backfill.storage.silences import Silences
from backfill.storage.source_health import SourceHealth
from backfill.storage.splits import SplitLog
from backfill.storage.wishes import WishList

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

CONFIRMED_ABSENCE = timedelta(days=7)


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that broke ``rule``, as the source sent it."""

    open_ms: int | None
    rule: str
    payload: Any


@cache
def _copy_into_candles(columns: tuple[str, ...]) -> bytes:
    named = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("COPY candles ({}) FROM STDIN (FORMAT binary)").format(named).as_bytes(None)


class _AlreadyThere(Exception):
    """Another writer has stored one of the rows."""


class CandleStore:
    """The candles over one connection. Not thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._source_ids: dict[str, int] = {}
        self._partitioned: set[tuple[int, int]] = set()
        self._holds: list[Hold] = []
        self._copies_boldly = False
        self._turns = threading.Lock()

    def __enter__(self) -> CandleStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @property
    def times_opened(self) -> int:
        """More than before: Postgres was away meanwhile."""
        return self.connection.opens

    @cached_property
    def instruments(self) -> Instruments:
        """Instruments and their changes."""
        return Instruments(self.connection)

    @cached_property
    def listings(self) -> Listings:
        """Listings and markets of the sources."""
        return Listings(self.connection)

    @cached_property
    def wishes(self) -> WishList:
        """The wanted series."""
        return WishList(self.connection)

    @cached_property
    def closures(self) -> Closures:
        """When markets are closed."""
        return Closures(self.connection)

    @cached_property
    def funding(self) -> FundingLedger:
        """Funding payments."""
        return FundingLedger(self.connection)

    @cached_property
    def splits(self) -> SplitLog:
        """Splits of instruments."""
        return SplitLog(self.connection)

    @cached_property
    def findings(self) -> FindingsLog:
        """The results of checks."""
        return FindingsLog(self.connection)

    @cached_property
    def ledger_audit(self) -> LedgerAudit:
        """Queries and repairs of the audit."""
        return LedgerAudit(self.connection)

    @cached_property
    def retention(self) -> Retention:
        """Removal of candles past their retention."""
        return Retention(self.connection)

    @cached_property
    def quarantine(self) -> Quarantine:
        """Rows that broke a rule."""
        return Quarantine(self.connection)

    @cached_property
    def segments(self) -> SegmentLedger:
        """Exported files."""
        return SegmentLedger(self.connection)

    @cached_property
    def imports(self) -> ImportLog:
        """Files that candles came from."""
        return ImportLog(self.connection)

    @cached_property
    def silences(self) -> Silences:
        """Bars that sources lack, with grades."""
        return Silences(self.connection)

    @cached_property
    def run_log(self) -> GapFillLog:
        """The log of runs and attempts."""
        return GapFillLog(self.connection)

    def rate_budget(
        self,
        source: str,
        limits_per_period_s: tuple[tuple[int, int], ...],
        *,
        spacing_ms: int = 0,
        pool: Pool = "requests",
    ) -> RateBudget:
        """The rate budget of the source's ``pool``; from then on the store is for budgets only."""
        with self._turns:
            source_id = self.source_id(source)
        return RateBudget(
            self.connection,
            source,
            source_id,
            limits_per_period_s,
            pool=pool,
            spacing_ms=spacing_ms,
            sleep=self.connection.sleep,
            lock=self._turns,
        )

    def pause_check(self, source: str) -> PauseCheck:
        """A read-only pause check; from then on the store is for budgets only."""
        with self._turns:
            known = {name: number for number, name in self._known_sources().items()}
        return PauseCheck(self.connection, source, known.get(source), lock=self._turns)

    def require_current_schema(self) -> None:
        """Raise unless the schema is exactly ours."""
        require_current_schema(self.connection)

    def health(self, run: str) -> SourceHealth:
        """The sources' circuit breakers, on behalf of ``run``."""
        return SourceHealth(self.connection, run, self.connection.sleep)

    def now(self) -> datetime:
        """The database's clock, shared by all workers."""
        with translated_errors():
            at: datetime = fetch_one(self.connection, "SELECT clock_timestamp()")[0]
            return at

    def source_id(self, name: str) -> int:
        """A source's id; a new name gets one."""
        if name not in self._source_ids:
            self._known_sources()
        if name not in self._source_ids:
            with translated_errors():
                rows = self.connection.execute(query("sources/upsert_sources"), {"names": [name]}).fetchall()
            self._source_ids.update({str(known): int(number) for known, number in rows})
        return self._source_ids[name]

    def source_names(self, source_ids: Sequence[int]) -> list[str]:
        """Source names in the order of ``source_ids``."""
        names = {number: name for name, number in self._source_ids.items()}
        if not names.keys() >= set(source_ids):
            names = self._known_sources()
        return [names[source_id] for source_id in source_ids]

    def _known_sources(self) -> dict[int, str]:
        """All of them by number, read anew; numbers and names do not change."""
        with translated_errors():
            rows = self.connection.execute(query("sources/select_source_names")).fetchall()
        names = {int(number): str(name) for number, name in rows}
        self._source_ids.update({name: number for number, name in names.items()})
        return names

    def rows(self, name: str, selection: Selection) -> list[dict[str, Any]]:
        """Rows of a query that takes a :class:`Selection`."""
        with translated_errors(), self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query(name), selection.as_params()).fetchall()

    def windows(self, selection: Selection) -> list[SeriesWindow]:
        """The selected series and their windows."""
        rows = self.rows("series/select_series", selection)
        return [SeriesWindow(**{**row, "closed": to_intervals(row["closed"])}) for row in rows]

    def open_work(self, window: SeriesWindow, source_id: int | None = None, *, recheck: bool = False) -> OpenWork:
        """What ``window`` lacks, and what ``source_id`` (None: any) has yet to be asked for."""
        with translated_errors():
            held, missing, gaps_found, askable = fetch_one(
                self.connection,
                query("ledger/select_open_work"),
                {
                    "series_id": window.series_id,
                    "source_id": source_id,
                    "start_ms": window.start_ms,
                    "end_ms": window.end_ms,
                    "recheck": recheck,
                },
            )
        return OpenWork(held, missing, gaps_found, to_intervals(askable))

    def has_older_candle(self, window: SeriesWindow, source_id: int, before_ms: int) -> bool:
        """Whether ``source_id`` ever gave a candle before ``before_ms``."""
        params = {"series_id": window.series_id, "source_id": source_id, "before": utc(before_ms)}
        with translated_errors():
            return bool(fetch_one(self.connection, query("candles/select_has_older_candle"), params)[0])

    def candles(self, series_id: int, span: Interval) -> pd.DataFrame:
        """Candles that open in ``span``: columns of ``frames.candle_frame`` and ``source_id``."""
        import pandas as pd

        params = {"series_id": series_id, "first": utc(span.start), "past": utc(span.end)}
        with translated_errors(), self.connection.cursor(binary=True) as cursor:
            row = cursor.execute(query("candles/select_candles"), params).fetchone()
        return pd.DataFrame(unpacked((row and row[0]) or b"", CANDLE_WIRE_TYPES))

    @contextmanager
    def working_on(self, window: SeriesWindow, patience_s: float) -> Iterator[None]:
        """Work on the series alone. Raises :class:`SeriesBusy` after ``patience_s``, with who holds it."""

        def busy(waited_s: float, holder: str) -> SeriesBusy:
            return SeriesBusy(window.symbol, window.timeframe, waited_s, holder)

        name = f"{window.symbol} {window.timeframe}"
        with holding(self.connection, SERIES_LOCK, window.series_id, name, patience_s, busy) as hold:
            self._holds.append(hold)
            try:
                yield
            finally:
                self._holds.remove(hold)

    def prepare(self, window: SeriesWindow) -> None:
        """Create the window's partitions."""
        span = (window.start_ms, window.end_ms)
        if span in self._partitioned:
            return
        with translated_errors():
            params = {"first": utc(window.start_ms), "past": utc(window.end_ms)}
            self.connection.execute(query("candles/ensure_candle_partitions"), params)
        self._partitioned.add(span)

    @contextmanager
    def page_transaction(self) -> Iterator[None]:
        """A transaction for one page, on a series that is still ours.

        Its commit does not wait for the disk: a crash may lose the last pages with ledger and log, which are fetched
        again. Finishing a run waits, for earlier pages too.
        """
        with translated_errors():
            for hold in self._holds:
                hold.keep()
            with self.connection.transaction():
                for hold in self._holds:
                    hold.renew()
                yield

    def in_page_transaction(self, write: Callable[[], T]) -> T:
        """``write`` in a :meth:`page_transaction`, again after a passing fault: it must be idempotent."""

        def once() -> T:
            with self.page_transaction():
                return write()

        self._copies_boldly = True
        try:
            return repeated(self.connection, once)
        except _AlreadyThere:
            self._copies_boldly = False
            return repeated(self.connection, once)
        finally:
            self._copies_boldly = False

    def store_page(
        self,
        window: SeriesWindow,
        source_id: int,
        candles: CandleColumns,
        *,
        bars: Sequence[Interval],
        absent: Sequence[Interval] = (),
        settled: Sequence[Interval] = (),
        quarantined: Sequence[QuarantinedRow] = (),
        refused: Sequence[Interval] = (),
        fill_run_id: int | None = None,
    ) -> StoredPage:
        """Store one answer, inside a :meth:`page_transaction`; idempotent.

        ``candles``: sound closed rows, oldest first. ``bars``: their intervals. ``absent``: what the answer lacks.
        ``settled``: ``bars`` that the primary source gave after they became final. ``refused``: bars whose only rows
        are among ``quarantined``.
        """
        inserted = revised = 0
        series = {"series_id": window.series_id, "source_id": source_id}
        answer = {
            **series,
            "missing": to_multirange(absent),
            "present": to_multirange(bars),
            "settled": to_multirange(settled),
            "next_life": CONFIRMED_ABSENCE,
            "fill_run_id": fill_run_id or 0,
        }
        write_down = "ledger/record_answer"
        if len(candles):
            page = CandleFrame.of(candles)
            fresh, known = self._told_apart(window, page, bars)
            if not self._copied(window, source_id, fresh):
                fresh, known = fresh.rows(slice(0)), page
            inserted, revised = self._merged(window, source_id, known, bars, fill_run_id)
            inserted += len(fresh)
            if inserted + revised < len(candles):
                self._recount_ledger(answer, bars)
            else:  # our own rows are ours until the commit
                write_down = "ledger/hold_and_record_answer"
        self.quarantine.add(window.series_id, source_id, quarantined, fill_run_id)
        newly_absent_ms = fetch_one(self.connection, query(write_down), answer)[0]
        if refused:
            params = {**series, "refused": to_multirange(refused), "fill_run_id": fill_run_id or 0}
            self.connection.execute(query("ledger/record_refusal"), params)
        return StoredPage(inserted, revised, len(quarantined), newly_absent_ms)

    def _told_apart(
        self, window: SeriesWindow, candles: CandleFrame, bars: Sequence[Interval]
    ) -> tuple[CandleFrame, CandleFrame]:
        """Candles of bars not held yet, and the others. Afterwards we keep the ledger, not the triggers."""
        params = {"series_id": window.series_id, "bars": to_multirange(bars)}
        held = to_intervals(fetch_one(self.connection, query("ledger/take_over_ledger"), params)[0])
        if not held:
            return candles, candles.rows(slice(0))
        open_ms = candles["open_ms"]
        # Inside an interval, an odd number of edges is at or before the open time.
        edges = np.array([edge for interval in held for edge in interval])
        is_held = np.searchsorted(edges, open_ms, side="right") % 2 == 1
        return candles.rows(~is_held), candles.rows(is_held)

    def _copied(self, window: SeriesWindow, source_id: int, candles: CandleFrame) -> bool:
        """COPY candles into the table; return whether that worked.

        If another writer has stored one of them, the merge decides bar by bar: after a savepoint or, as that happens
        hardly ever and two round trips a page cost more, in the transaction's second try.
        """
        if not len(candles):
            return True
        columns = candle_columns(candles, window.series_id, source_id)
        if columns is None:
            return False
        copy_candles = _copy_into_candles(tuple(column.name for column in columns))
        savepoint = nullcontext() if self._copies_boldly else self.connection.transaction()
        try:
            with savepoint, self.connection.cursor() as cursor, cursor.copy(copy_candles) as copy:
                copy.write(packed(columns, len(candles)))
        except psycopg.errors.UniqueViolation:
            if self._copies_boldly:
                raise _AlreadyThere from None
            return False
        return True

    def _merged(
        self,
        window: SeriesWindow,
        source_id: int,
        candles: CandleFrame,
        bars: Sequence[Interval],
        fill_run_id: int | None,
    ) -> tuple[int, int]:
        """Merge with the stored rows; return rows inserted and replaced."""
        if not len(candles):
            return 0, 0
        params = {
            **page_arrays(candles),
            "series_id": window.series_id,
            "source_id": source_id,
            "best_first": window.source_ids,
            "first": utc(bars[0].start),
            "past": utc(bars[-1].end),
            "fill_run_id": fill_run_id,
        }
        inserted, revised = fetch_one(self.connection, query("candles/merge_page"), params)
        return int(inserted), int(revised)

    def _recount_ledger(self, answer: dict[str, Any], bars: Sequence[Interval]) -> None:
        """Recount the page's span: rows found there may have been deleted."""
        self.connection.execute(query("ledger/lock_ledger"), answer)
        span = {"start_ms": bars[0].start, "end_ms": bars[-1].end}
        times = {"first": utc(bars[0].start), "past": utc(bars[-1].end)}
        self.connection.execute(query("ledger/recount_ledger"), {**answer, **span, **times})

"""What is due for a check, and what checks left open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import fetch_one, translated_errors
from backfill.storage.multiranges import intervals_in, to_intervals
from backfill.storage.named_queries import query
from backfill.storage.series import SeriesWindow


class ToCheck(NamedTuple):
    """What is due in a window.

    ``native``: from the primary source; ``unsettled``: native, neither sent again since they settled nor confirmed
    absent. ``missing``: not stored; ``denied``: missing, confirmed absent by the primary source; ``unexplained``:
    denied without proof. Checked recently: ``compared`` with another source, ``unverified`` as none could answer,
    ``proved`` by coarser bars.
    """

    held: list[Interval]
    native: list[Interval]
    unsettled: list[Interval]
    missing: list[Interval]
    denied: list[Interval]
    unexplained: list[Interval]
    compared: list[Interval]
    unverified: list[Interval]
    proved: list[Interval]


class OpenProblems(NamedTuple):
    """What needs a person: findings by kind, unconfirmed suspects, undecided quarantine."""

    findings: dict[str, int]
    suspects: int
    quarantined: int


class Gap(NamedTuple):
    """``bars`` missing in a row."""

    start: datetime
    end: datetime
    bars: int


class SeriesChecks:
    """The check results of one series."""

    def __init__(self, store: CandleStore, window: SeriesWindow) -> None:
        self._connection = store.connection
        self._window = window

    def to_check(self, *, since_ms: int, tried_since_ms: int) -> ToCheck:
        """What is due in the window.

        Page checks count from ``since_ms``, proofs that left bars open from ``tried_since_ms``.
        """
        params = {
            "series_id": self._window.series_id,
            "start_ms": self._window.start_ms,
            "end_ms": self._window.end_ms,
            "lately": utc(tried_since_ms),
            "since": utc(since_ms),
        }
        with translated_errors():
            row = fetch_one(self._connection, query("findings/select_to_check"), params)
        return ToCheck(*map(intervals_in, row))

    def seen_today(self, kind: str, span: Interval, at_ms: int) -> list[Interval]:
        """Where open findings of ``kind`` were seen on the day of ``at_ms``, by discovery."""
        params = {
            "series_id": self._window.series_id,
            "kind": kind,
            "at": utc(at_ms),
            "first": utc(span.start),
            "past": utc(span.end),
        }
        with translated_errors():
            return to_intervals(fetch_one(self._connection, query("findings/select_known_findings"), params)[0])

    def forget_page_checks(self, span: Interval, before_ms: int) -> None:
        """Delete page checks before ``before_ms``, and that ``span`` is unverified."""
        params = {
            "series_id": self._window.series_id,
            "before": utc(before_ms),
            "first": utc(span.start),
            "past": utc(span.end),
        }
        with translated_errors():
            self._connection.execute(query("findings/forget_page_checks"), params)

    def spot_sources(self) -> list[int]:
        """The series' sources that list only a spot market."""
        params = {"series_id": self._window.series_id}
        with translated_errors():
            rows = self._connection.execute(query("sources/select_spot_sources"), params).fetchall()
        return [int(source_id) for (source_id,) in rows]

    def series_of(self, symbols: Sequence[str]) -> dict[str, int]:
        """Other instruments' non-empty series of the timeframe, by symbol."""
        params = {"symbols": list(symbols), "timeframe": self._window.timeframe}
        with translated_errors():
            rows = self._connection.execute(query("series/select_kept_series"), params).fetchall()
        return {str(symbol): int(series_id) for symbol, series_id in rows}

    def open_problems(self) -> OpenProblems:
        """What in the window needs a person."""
        params = {
            "series_id": self._window.series_id,
            "first": utc(self._window.start_ms),
            "past": utc(self._window.end_ms),
        }
        with translated_errors():
            return OpenProblems(*fetch_one(self._connection, query("ledger/count_to_judge"), params))

    def worst_gaps(self, span: Interval, most: int) -> list[Gap]:
        """The ``most`` largest gaps of ``span``, largest first."""
        params = {
            "series_id": self._window.series_id,
            "start_ms": span.start,
            "end_ms": span.end,
            "most": most,
        }
        with translated_errors():
            rows = self._connection.execute(query("ledger/select_worst_gaps"), params).fetchall()
        return [Gap(*row) for row in rows]

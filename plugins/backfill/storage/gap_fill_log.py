"""The run log: one row per attempt on a series, updated with every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from backfill.domain.timeframes import utc
from backfill.storage.database import Connection, fetch_one, repeated, translated_errors
from backfill.storage.named_queries import query
from backfill.storage.series import SERIES_LOCK, OpenWork, Selection, SeriesWindow, StoredPage


@dataclass(frozen=True)
class RunIdentity:
    """Airflow's task instance, or the command line."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1


class Requests(NamedTuple):
    planned: int
    made: int


class PagesNeeded(NamedTuple):
    symbol: str
    timeframe: str
    pages: int


class GapFillLog:
    """``gap_fill_runs`` and ``source_attempts``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, who: RunIdentity, window: SeriesWindow, work: OpenWork, *, to_validate: bool = False) -> int:
        """Insert a run; return its id. ``to_validate``: it does not fill."""
        params = {
            **vars(who),
            "series_id": window.series_id,
            "symbol": window.symbol,
            "timeframe": window.timeframe,
            "window_start": utc(window.start_ms),
            "window_end": utc(window.end_ms),
            "gaps_found": work.gaps_found,
            "missing_before": work.missing_candles,
            "coverage_before": work.coverage_pct,
            "validation": Jsonb({}) if to_validate else None,
        }
        with translated_errors():
            return int(fetch_one(self._connection, query("runs/insert_gap_fill_run"), params)[0])

    def count(self, fill_run_id: int, source: str, stored: StoredPage, step_ms: int, asked: Requests) -> None:
        """Add a page's counts; ``asked``: the run's requests so far."""
        params = {
            "fill_run_id": fill_run_id,
            "source": source,
            "inserted": stored.inserted,
            "revised": stored.revised,
            "quarantined": stored.quarantined,
            "absent": stored.newly_absent_ms // step_ms,
            "requests_planned": asked.planned,
            "requests": asked.made,
        }
        with translated_errors():
            self._connection.execute(query("candles/count_page"), params)

    def finish(
        self,
        fill_run_id: int,
        status: str,
        work: OpenWork,
        asked: Requests,
        error: str | None,
        *,
        requests_left: int = 0,
        validation: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Close the row; return rows_inserted, rows_revised, rows_quarantined, absent_found, sources.

        Counts the run's changed days again. ``requests_left``: left to the next run by the budget.
        """
        params = {
            "fill_run_id": fill_run_id,
            "status": status,
            "missing_after": work.missing_candles,
            "coverage_after": work.coverage_pct,
            "requests_planned": asked.planned,
            "requests": asked.made,
            "error": error,
            "requests_left": requests_left,
            "validation": None if validation is None else Jsonb(validation),
        }

        def close() -> Any:
            with self._connection.transaction():  # one wait for the disk
                self._connection.execute(query("runs/count_changed_days"), params)
                return fetch_one(self._connection, query("runs/finish_gap_fill_run"), params)

        row = repeated(self._connection, close)
        names = ("rows_inserted", "rows_revised", "rows_quarantined", "absent_found", "sources")
        return dict(zip(names, row, strict=True))

    def abandon_dead_runs(self) -> int:
        """Mark runs whose process died, before locking a series; return their number."""
        with translated_errors(), self._connection.transaction():
            return self._connection.execute(query("runs/abandon_dead_runs"), {"lock_class": SERIES_LOCK}).rowcount

    def carried_over(self, who: RunIdentity) -> set[int]:
        """Series whose primary source this run had no time to ask."""
        params = {"dag_id": who.dag_id, "run_id": who.run_id}
        with translated_errors():
            return {int(row[0]) for row in self._connection.execute(query("runs/select_carried_over"), params)}

    def fill_rate(self, which: Selection, most_runs: int) -> tuple[int, int, float | None]:
        """Bars closed by the last runs over ``which``, number of runs, total seconds."""
        params = {**which.as_params(), "lock_class": SERIES_LOCK, "most_runs": most_runs}
        with translated_errors():
            closed, runs, seconds = fetch_one(self._connection, query("runs/select_fill_rate"), params)
        return closed, runs, seconds

    def requests_needed(self, which: Selection, primary: str, rows_per_page: int) -> list[PagesNeeded]:
        """Estimated pages per series of this primary source."""
        params = {**which.as_params(), "primary": primary, "rows_per_page": rows_per_page}
        with translated_errors():
            rows = self._connection.execute(query("runs/select_requests_needed"), params).fetchall()
        return [PagesNeeded(*row) for row in rows]

    def attempt(
        self,
        fill_run_id: int | None,
        source_id: int,
        outcome: str,
        requests: int,
        rows: int,
        latency_ms: float | None,
    ) -> None:
        """Count an answer; ``outcome``: `candles`, `absent`, `markets` or the error's name.

        Without a run: to find or prove a listing.
        """
        params = {
            "fill_run_id": fill_run_id,
            "source_id": source_id,
            "outcome": outcome,
            "requests": requests,
            "rows": rows,
            "latency_ms": latency_ms,
        }
        with translated_errors():
            self._connection.execute(query("runs/insert_source_attempt"), params)

"""The answers of the API, as its OpenAPI describes them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel

State = Literal["missing", "doubtful", "new", "pending", "whole"]


class SyncStatus(BaseModel):
    """The state of one series as in the view ``sync_status``; `not_started`: the universe does not name it."""

    symbol: str
    timeframe: str
    status: str
    oldest_data: datetime | None
    newest_data: datetime | None
    total_candles: int
    expected_candles: int | None
    coverage_pct: float | None
    doubtful_candles: int | None
    closed_candles: int | None
    last_sync: datetime | None
    error_message: str | None


class SeriesRow(BaseModel):
    """One wanted series. ``overdue_candles``: missing, and closed for longer than an hour."""

    series_id: int
    symbol: str
    timeframe: str
    step_ms: int
    state: State
    oldest_data: datetime | None
    newest_data: datetime | None
    total_candles: int
    expected_candles: int
    coverage_pct: float
    missing_candles: int
    overdue_candles: int
    doubtful_candles: int
    absent_candles: int
    stand_in_candles: int
    last_run: str | None
    last_sync: datetime | None
    error_message: str | None


class TimeframeTotals(BaseModel):
    """Sums over the series of one timeframe that match."""

    timeframe: str
    series: int
    whole: int
    missing: int
    doubtful: int
    new: int
    total_candles: int
    overdue_candles: int
    pending_candles: int
    stand_in_candles: int


class SeriesPage(BaseModel):
    """``total``: how many series match."""

    rows: list[SeriesRow]
    totals: list[TimeframeTotals]
    total: int
    read_at: datetime


class SeriesDays(BaseModel):
    """Candles of one series by day; a day outside the window expects none."""

    series_id: int
    expected: list[int]
    held: list[int]
    missing: list[int]
    doubtful: list[int]
    stand_in: list[int]
    absent: list[int]


class Heat(BaseModel):
    """``first_day``: what the first element of each list is about."""

    first_day: datetime
    rows: list[SeriesDays]


class SeriesHead(BaseModel):
    """One series; ``start_ms`` and ``end_ms`` are its window, NULL where it has none."""

    symbol: str
    timeframe: str
    step_ms: int
    wanted: bool
    objective_pct: float
    sources: list[str]
    start_ms: int | None
    end_ms: int | None
    oldest_ms: int | None
    held_until_ms: int | None
    held_candles: int
    stand_in_candles: int
    instrument_state: str | None
    list_time: datetime | None


class Band(BaseModel):
    """What is no candle: `missing`, `doubtful`, `lost`, `pending`, `proved`, `reported`, `closed`, rounded out."""

    kind: str
    candles: int
    intervals: int
    bands: list[tuple[int, int]]


class Mark(BaseModel):
    """A `finding`, an `outage`, a `revision` or a row in `quarantine`."""

    what: str
    id: int
    at: datetime
    until: datetime | None
    title: str
    source: str | None
    status: str


class Columns(BaseModel):
    """Bars by column, oldest first; ``stand_ins``: how many of a bar's candles the primary source did not give."""

    open_ms: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float | None]
    bars: list[int]
    stand_ins: list[int]
    source: list[str | None]


class Chart(BaseModel):
    """A span of a series, joined into buckets of ``bucket_ms``."""

    symbol: str
    timeframe: str
    step_ms: int
    bucket_ms: int
    start_ms: int
    end_ms: int
    primary: str | None
    columns: Columns
    bands: list[Band]
    marks: list[Mark]


class CandleRow(BaseModel):
    """One stored candle; NULL: the source does not give it."""

    open_time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    quote_volume: float | None
    source: str | None


class StoredCandles(BaseModel):
    """``next``: the ``from`` of the page that follows; NULL: this is the last."""

    symbol: str
    timeframe: str
    rows: list[CandleRow]
    next: datetime | None


class Condition(BaseModel):
    """May this day be used? As in the view ``conditions``, counts in bars."""

    day: date
    condition: Literal["available", "repaired", "degraded", "doubtful", "pending", "missing"]
    expected: int
    held: int
    stand_in: int
    proved_absent: int
    reported_absent: int
    refused: int
    doubtful: int
    missing: int
    findings: dict[str, Any]
    sources: dict[str, Any]
    agreed: list[str]
    changed_at: datetime | None
    leaves_reach_at: datetime | None
    reason: str | None
    would_change: str | None


class Conditions(BaseModel):
    """``next``: the ``from`` of the page that follows; NULL: this is the last."""

    symbol: str
    timeframe: str
    rows: list[Condition]
    next: datetime | None


class SourceAnswer(BaseModel):
    """What one source answered of a gap: `absent`, `refused`, `skipped` or `not answered`.

    ``leaves_reach_at``: from then on the source no longer serves the gap's first bar; NULL: not known, or never.
    """

    source: str
    answer: str
    grade: str | None
    confirmations: int | None
    ask_again_at: datetime | None
    error: str | None
    leaves_reach_at: datetime | None = None


class GapRow(BaseModel):
    """``reason``: `not asked`, `doubtful` (no source has it, which is not believed yet) or `lost` (it had trades)."""

    symbol: str
    timeframe: str
    gap_start: datetime
    gap_end: datetime
    missing_candles: int
    reason: str
    asked: list[SourceAnswer]


class GapPage(BaseModel):
    """``total``: how many gaps match; 0 past the last page."""

    rows: list[GapRow]
    total: int
    read_at: datetime


class ListPage(BaseModel):
    """One page of a list; ``more``: another follows."""

    rows: list[dict[str, Any]]
    more: bool
    read_at: datetime


class Sources(BaseModel):
    """Health of each source, and its answers by hour."""

    rows: list[dict[str, Any]]
    hours: list[dict[str, Any]]
    read_at: datetime


class Left(BaseModel):
    """What is left to fill, and how long that takes; NULL: no run of the last day shows it."""

    candles_left: int
    requests_left: int
    candles_per_hour: float | None
    hours_left: float | None
    runs: int


class Story(BaseModel):
    """Everything known of one bar, as `backfill explain` has it."""

    symbol: str
    timeframe: str
    open_time: datetime
    as_of: datetime
    state: str
    why: str
    candle: dict[str, Any] | None
    primary: str | None
    confirmed: bool
    compared: list[dict[str, Any]]
    proved: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    former_selves: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    carried: list[dict[str, Any]]


class Rights(BaseModel):
    """What the signed-in user may do besides looking."""

    may_fill: bool
    may_decide: bool


class Decided(BaseModel):
    """How many rows a decision was about."""

    decided: int


class Problem(BaseModel):
    """Why there is no answer; of a wrong value FastAPI's own list of errors stands in ``detail``."""

    detail: str


class Unavailable(BaseModel):
    """Postgres does not answer, or a setting must be mended."""

    error: str

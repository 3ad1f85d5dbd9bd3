"""The read-only API: every route answers from Postgres and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime

from backfill.domain.chart_buckets import bucket_ms
from backfill.domain.timeframes import DAY_MS, FIRST_MONDAY_MS, TIMEFRAMES, utc
from backfill.domain.venues import venue
from backfill.errors import ConfigurationError
from backfill.jobs.fill.progress import progress
from backfill.jobs.status.explain_candle import explain_candle
from backfill.storage import coverage_page
from backfill.storage.candle_store import CandleStore
from backfill.storage.coverage_page import AsOf, PageFilter
from backfill.storage.database import Connection
from backfill.storage.series import Selection
from backfill.ui import answers
from backfill.ui.candle_formats import FORMATS
from backfill.ui.refusals import refuse_unknown_parameters, wrong_value

MAX_BARS = 2000
MAX_MARKS = 500
MAX_CANDLES = 10_000
MAX_DAYS = 400
# What Postgres' timestamps and the grid can take, with room to spare.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=timezone.utc), datetime(2100, 1, 1, tzinfo=timezone.utc)


def _known_timeframe(name: str) -> str:
    if name and name not in TIMEFRAMES:
        raise ValueError(f"unknown timeframe; known are {' '.join(TIMEFRAMES)}")
    return name


Text = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$")]
Word = Annotated[str, Query(max_length=250, pattern=r"^[^\x00]*$")]
Moment = Annotated[AwareDatetime, Query(ge=EARLIEST, le=LATEST)]
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
Sort = Literal["severity", "symbol", "timeframe", "coverage", "missing", "newest"]

NOT_KEPT: dict[int | str, dict[str, Any]] = {404: {"model": answers.Problem, "description": "No such series"}}

router = APIRouter(dependencies=[Depends(refuse_unknown_parameters)])


@dataclass(frozen=True)
class Pages:
    """What the routes work with, opened for each request; its connection is closed after the answer."""

    connect: Callable[[], Connection]
    settle_ms: Callable[[], int] = int
    clock: Callable[[], datetime] = coverage_page.now


class Opened:
    """One request's moment and connection, opened on first use: bad values are refused before."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._closing = ExitStack()

    @cached_property
    def as_of(self) -> AsOf:
        """The moment of the answer."""
        return AsOf(self._pages.clock(), self._pages.settle_ms())

    @cached_property
    def db(self) -> Connection:
        """The connection."""
        return self._closing.enter_context(closing(self._pages.connect()))

    @cached_property
    def store(self) -> CandleStore:
        """The store over the connection."""
        return CandleStore(self.db)

    def close(self) -> None:
        """Close the connection, if it was opened."""
        self._closing.close()

    def head(self, symbol: str, timeframe: str) -> dict[str, Any]:
        """The series. Raises 404 where it is not kept."""
        found = coverage_page.series_head(self.db, self.as_of, symbol, timeframe)
        if found is None:
            raise HTTPException(404, f"no series {symbol} {timeframe} is kept")
        return found


def opened(request: Request) -> Iterator[Opened]:
    """The request's reader, closed after the answer."""
    with closing(Opened(request.app.state.pages)) as reader:
        yield reader


Reader = Annotated[Opened, Depends(opened)]


def page_filter(
    search: Word | None = None,
    symbol: Word | None = None,
    timeframe: Annotated[list[Annotated[Word, AfterValidator(_known_timeframe)]] | None, Query(max_length=20)] = None,
    status: Annotated[list[Word] | None, Query(max_length=20)] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> PageFilter:
    """``search``: part of a symbol. ``timeframe`` and ``status`` may be given more than once."""
    return PageFilter(search or None, symbol or None, timeframe or None, status or None, limit, offset)


Which = Annotated[PageFilter, Depends(page_filter)]


@router.get("/sync-status/{symbol}/{timeframe}")
def sync_status(reader: Reader, symbol: Text, timeframe: Text) -> answers.SyncStatus:
    """The state of one series; `not_started` where the universe does not name it."""
    row = coverage_page.series_status(reader.db, reader.as_of, symbol, timeframe)
    return answers.SyncStatus.model_validate(row)


@router.get("/api/coverage")
def coverage(reader: Reader, which: Which, sort: Sort = "severity", descending: bool = False) -> answers.SeriesPage:
    """One page of the wanted series, worst first unless sorted otherwise. ``status``: a series' state."""
    found = coverage_page.overview(reader.db, reader.as_of, which, sort, descending=descending)
    return answers.SeriesPage(**found, read_at=reader.as_of.at)


@router.get("/api/heat")
def heat(
    reader: Reader,
    series: Annotated[list[int], Query(min_length=1, max_length=200)],
    days: Annotated[int, Query(ge=1, le=120)] = 60,
) -> answers.Heat:
    """What each day of some series holds and lacks, up to today."""
    ids = [one for one in series if 0 < one < 2**31]
    first_day, rows = coverage_page.heat(reader.db, reader.as_of, ids, days)
    return answers.Heat(first_day=first_day, rows=[answers.SeriesDays.model_validate(row) for row in rows])


@router.get("/api/series/{symbol}/{timeframe}", responses=NOT_KEPT)
def series(reader: Reader, symbol: Text, timeframe: Text) -> answers.SeriesHead:
    """One series: its window, its sources, how much of it is held."""
    return answers.SeriesHead.model_validate(reader.head(symbol, timeframe))


@router.get("/api/chart/{symbol}/{timeframe}", responses=NOT_KEPT)
def chart(
    reader: Reader,
    symbol: Text,
    timeframe: Text,
    start: Annotated[Moment | None, Query(alias="from")] = None,
    end: Annotated[Moment | None, Query(alias="to")] = None,
    bars: Annotated[int, Query(ge=10, le=MAX_BARS)] = 800,
) -> answers.Chart:
    """At most ``bars`` candles of a span (by default the whole window), with what is missing and what was found."""
    head = reader.head(symbol, timeframe)
    start_ms, end_ms = _span_ms(head, reader.as_of.at, start, end)
    width_ms = bucket_ms(head["step_ms"], end_ms - start_ms, bars)
    span = (utc(start_ms), utc(end_ms))
    rows = coverage_page.bars(reader.db, head, *span, width_ms)
    bands = coverage_page.bands(reader.db, reader.as_of, head, start_ms, end_ms, width_ms)
    marks = coverage_page.marks(reader.db, head, *span, MAX_MARKS)
    return answers.Chart(
        symbol=symbol,
        timeframe=timeframe,
        step_ms=head["step_ms"],
        bucket_ms=width_ms,
        start_ms=start_ms,
        end_ms=end_ms,
        primary=next(iter(head["sources"]), None),
        columns=answers.Columns(**{name: [row[name] for row in rows] for name in answers.Columns.model_fields}),
        bands=[answers.Band.model_validate(band) for band in bands],
        marks=[answers.Mark.model_validate(mark) for mark in marks],
    )


@router.get(
    "/api/candles/{symbol}/{timeframe}",
    response_model=answers.StoredCandles,
    responses={**NOT_KEPT, 200: {"content": {media: {"schema": {"type": "string"}} for media, _ in FORMATS.values()}}},
)
def candles(
    reader: Reader,
    symbol: Text,
    timeframe: Text,
    start: Annotated[Moment, Query(alias="from")] = EARLIEST,
    end: Annotated[Moment, Query(alias="to")] = LATEST,
    limit: Annotated[int, Query(ge=1, le=MAX_CANDLES)] = 1000,
    form: Annotated[Literal["json", "csv", "parquet", "arrow"], Query(alias="format")] = "json",
) -> answers.StoredCandles | Response:
    """Stored candles, oldest first. The next page begins at ``next``; outside JSON, at the header `X-Next`.

    ``format=arrow`` is an Arrow IPC stream; it and `parquet` need pyarrow on the server.
    """
    head = reader.head(symbol, timeframe)
    page = coverage_page.candles(reader.db, head, start, end, limit)
    following = page.rows[-1]["open_time"] + timedelta(milliseconds=head["step_ms"]) if page.more else None
    if form == "json":
        rows = [answers.CandleRow.model_validate(row) for row in page.rows]
        return answers.StoredCandles(symbol=symbol, timeframe=timeframe, rows=rows, next=following)
    media_type, made = FORMATS[form]
    headers = {} if following is None else {"X-Next": following.isoformat()}
    try:
        return Response(made(page.rows), media_type=media_type, headers=headers)
    except ConfigurationError as error:  # pyarrow is not installed
        raise wrong_value("format", f"{form} {error}") from error


@router.get("/api/conditions/{symbol}/{timeframe}", responses=NOT_KEPT)
def conditions(
    reader: Reader,
    symbol: Text,
    timeframe: Text,
    start: Annotated[Moment | None, Query(alias="from")] = None,
    end: Annotated[Moment | None, Query(alias="to")] = None,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = 100,
) -> answers.Conditions:
    """May I use this day? The condition of each day (week, for 1w), oldest first. The next page begins at ``next``."""
    head = reader.head(symbol, timeframe)
    start_ms, end_ms = _span_ms(head, reader.as_of.at, start, end)
    width_ms = max(DAY_MS, head["step_ms"])  # a week's bar lies in one page
    until_ms = min(end_ms, start_ms - (start_ms - FIRST_MONDAY_MS) % width_ms + days * width_ms)
    rows = coverage_page.conditions(reader.db, reader.as_of, head, start_ms, until_ms)
    return answers.Conditions(
        symbol=symbol,
        timeframe=timeframe,
        rows=[answers.Condition.model_validate(row) for row in rows],
        next=utc(until_ms) if until_ms < end_ms else None,
    )


@router.get("/api/explain/{symbol}/{timeframe}", responses=NOT_KEPT)
def explain(reader: Reader, symbol: Text, timeframe: Text, open_time: Moment) -> answers.Story:
    """The story of the bar that opens at ``open_time``."""
    reader.head(symbol, timeframe)
    try:
        story = explain_candle(reader.store, symbol, timeframe, open_time, settle_ms=reader.as_of.settle_ms)
    except ConfigurationError as error:  # the time is not on the grid
        raise wrong_value("open_time", str(error)) from error
    return answers.Story.model_validate(vars(story))


@router.get("/api/gaps")
def gaps(
    reader: Reader,
    which: Which,
    sort: Literal["newest", "oldest", "largest"] = "newest",
    pending: bool = False,
    start: Annotated[Moment | None, Query(alias="from")] = None,
    end: Annotated[Moment | None, Query(alias="to")] = None,
) -> answers.GapPage:
    """One page of gaps, with what each source answered. ``status``: a reason; ``pending``: also what closed just now.

    ``from`` and ``to`` replace the declared window, as those of `backfill gaps` do.
    """
    rows = coverage_page.gaps(
        reader.db, reader.as_of, which, sort, pending=pending, start_ms=_ms(start), end_ms=_ms(end)
    )
    return answers.GapPage(
        rows=[_gap(row) for row in rows], total=rows[0]["total"] if rows else 0, read_at=reader.as_of.at
    )


@router.get("/api/runs")
def runs(
    reader: Reader,
    which: Which,
    dag: Word | None = None,
    dag_run: Word | None = None,
    task: Word | None = None,
    map_index: Annotated[int | None, Query(ge=-1, le=2**31 - 1)] = None,
) -> answers.ListPage:
    """One page of the run log, newest first; only those of a Dag, of its run, of a task, of its mapped instance."""
    more = {"dag": dag or None, "dag_run": dag_run or None, "task": task or None, "map_index": map_index}
    return _listed(reader, "runs", which, **more)


@router.get("/api/findings")
def findings(reader: Reader, which: Which) -> answers.ListPage:
    """One page of what checks have found, last seen first."""
    return _listed(reader, "findings", which)


@router.get("/api/quarantine")
def quarantine(reader: Reader, which: Which) -> answers.ListPage:
    """One page of the rows that broke a rule, last seen first."""
    return _listed(reader, "quarantine", which)


@router.get("/api/revisions")
def revisions(reader: Reader, which: Which) -> answers.ListPage:
    """One page of replaced candles, newest first. ``status``: the reason."""
    return _listed(reader, "revisions", which)


@router.get("/api/instrument-log")
def instrument_log(reader: Reader, which: Which) -> answers.ListPage:
    """One page of what was listed, delisted and changed, newest first. ``status``: what happened."""
    return _listed(reader, "instrument-log", which)


@router.get("/api/sources")
def sources(reader: Reader, hours: Annotated[int, Query(ge=1, le=168)] = 48) -> answers.Sources:
    """Each source's health, and what it answered in the last hours."""
    rows, by_hour = coverage_page.sources(reader.db, reader.as_of.at, hours)
    return answers.Sources(rows=rows, hours=by_hour, read_at=reader.as_of.at)


@router.get("/api/progress")
def left(reader: Reader) -> answers.Left:
    """What is left to fill, and when that is done at the rate of the last runs."""
    which = Selection(reader.as_of.at, reader.as_of.settle_ms)
    missing = coverage_page.missing_candles(reader.db, reader.as_of)
    found = progress(reader.store, which, missing, rows_per_page=lambda source: venue(source).rows_per_page)
    return answers.Left(**found.as_dict())


def _listed(reader: Opened, name: str, which: PageFilter, **more: Any) -> answers.ListPage:
    page = coverage_page.listed(reader.db, name, which, **more)
    return answers.ListPage(rows=page.rows, more=page.more, read_at=reader.as_of.at)


def _gap(row: dict[str, Any]) -> answers.GapRow:
    asked = [
        answers.SourceAnswer(**one, leaves_reach_at=_leaves_reach(one["source"], row["gap_start"], row["step_ms"]))
        for one in row["asked"]
    ]
    return answers.GapRow.model_validate({**row, "asked": asked})


def _leaves_reach(source: str, gap_start: datetime, step_ms: int) -> datetime | None:
    bars = venue(source).bars_served(step_ms)
    return None if bars is None else gap_start + timedelta(milliseconds=step_ms * bars)


def _span_ms(head: dict[str, Any], at: datetime, start: datetime | None, end: datetime | None) -> tuple[int, int]:
    """The span asked for, else the window and what is held beside it."""
    ends = [head["end_ms"], head["held_until_ms"]]
    starts = [head["start_ms"], head["oldest_ms"]]
    end_ms = _ms(end) or max((one for one in ends if one is not None), default=_ms(at) or 0)
    start_ms = _ms(start) or min((one for one in starts if one is not None), default=end_ms - head["step_ms"])
    if start_ms >= end_ms:
        raise wrong_value("from", f"{utc(start_ms):%FT%TZ} must be before to, {utc(end_ms):%FT%TZ}")
    return start_ms, end_ms


def _ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)

"""Deep history of a whole exchange: 311 instruments x 1d, 4h, 1h and 15m x 250 days, at Blofin's real limits.

The project's own jobs fill an empty Postgres from a paper exchange. The rate budget reserves every request as always,
in Postgres, by Blofin's limits; only nobody waits for the reserved time, so the last reservation tells how long it
would have taken. Afterwards the paper exchange's own doorkeeper is shown those times: it must refuse none. In turn:

  plain      15m for all of the 250 days; then retention cuts them to 14 days
  retention  15m for 14 days from the start, as the profile deep_history of the universe file has it
  roll-ups   the same, and bars are made of finer ones where those are held

How much sooner a second venue would make it is reckoned, not run. After ``retention`` and ``roll-ups`` come the
maintenance runs of a quiet half-hour, of a half-hour and of a full hour with new bars: what the Dag's tasks do, one
after the other, without Airflow's own handling of them.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import requests
from throw_away import throw_away_database, throw_away_home

from backfill.config.connections import SourceConnection
from backfill.config.settings import load_settings
from backfill.domain.intervals import Interval, difference
from backfill.domain.page_plan import plan_pages
from backfill.domain.timeframes import DAY_MS, timeframe
from backfill.domain.venues import Venue, venue
from backfill.exchanges.blofin_client import VENUE
from backfill.jobs.fill.fill_gaps import FillReport
from backfill.jobs.fill.fill_universe import fill_series
from backfill.jobs.fill.find_gaps import find_gaps, symbols_with_gaps
from backfill.jobs.maintain.prune_candles import prune_candles
from backfill.jobs.universe.declare_universe import declare
from backfill.paper.blofin_protocol import BlofinProtocol
from backfill.paper.coins import FIRST_LISTING_MS, LIQUID_COINS, Coin, made_up_coins
from backfill.paper.limits import NO_LIMITS, Doorkeeper
from backfill.paper.server import PaperExchange, serve_together, wall_clock_ms
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources import runtime
from backfill.sources.runtime import Runtime
from backfill.storage.database import fetch_one
from backfill.storage.gap_fill_log import GapFillLog, RunIdentity
from backfill.storage.rate_budget import PERIOD_MARGIN_MS, SPARE_PERCENT, RateBudget
from backfill.storage.series import Selection, SeriesWindow

INSTRUMENTS = 311
DAYS = {"1d": 250, "4h": 250, "1h": 250, "15m": 250}
KEPT_DAYS = 14
WHO = RunIdentity("candles_fill_gaps", "benchmark", "fill_from_blofin")
# As the Dag says to its tasks: they work on until then.
RUN_S = 25 * 60
HELPERS = ("okx", "bybit")
PROCESSES = multiprocessing.get_context("spawn")


class Way(NamedTuple):
    """How the same 250 days are wanted."""

    name: str
    retention: bool
    roll_up: bool

    def universe(self) -> dict[str, Any]:
        rules: dict[str, Any] = {name: f"{days}d" for name, days in DAYS.items()}
        if self.retention:
            rules["15m"] = {"history": f"{KEPT_DAYS}d", "retention": f"{KEPT_DAYS}d"}
        return {"instruments": "all", "timeframes": rules, "roll_up": self.roll_up}


PLAIN, RETENTION, ROLL_UPS = Way("plain", False, False), Way("retention", True, False), Way("roll-ups", True, True)


class UnhurriedBudget(RateBudget):
    """Reserves as always, and sends at once what it should send at ``sent_ms``."""

    def __init__(self, *args: Any, sent_ms: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sent_ms = sent_ms

    def take_turn(self) -> None:
        self._sent_ms.append(self._reserve().at_ms)


@dataclass
class Cost:
    """Of one piece of work: seconds on this machine, statements sent to Postgres, requests by the exchange's count."""

    seconds: float = 0.0
    queries: int = 0
    requests: int = 0

    def __str__(self) -> str:
        return f"{self.seconds:6.2f} s, {self.queries:6,} queries, {self.requests:5,} requests"


@dataclass(frozen=True)
class Bench:
    """Where things are, and how many instruments there are."""

    home: Path
    exchange_url: str
    instruments: int
    at: datetime

    @contextmanager
    def runtime(self, way: Way, database: str) -> Iterator[Runtime]:
        file = self.home / f"{way.name}.yaml"
        file.write_text(json.dumps(way.universe()))
        settings = load_settings({"BACKFILL_UNIVERSE": str(file)})
        with Runtime(database, settings, lambda _: SourceConnection(base_url=self.exchange_url)) as opened:
            yield opened

    @contextmanager
    def costing(self) -> Iterator[Cost]:
        cost, queries, asked = Cost(), QUERIES.total(), self.requests_for_candles()
        began = time.perf_counter()
        yield cost
        cost.seconds = time.perf_counter() - began
        cost.queries, cost.requests = QUERIES.total() - queries, self.requests_for_candles() - asked

    def requests_for_candles(self) -> int:
        stats = requests.get(f"{self.exchange_url}/paper/stats", timeout=10).json()
        return int(stats["by_route"].get("/api/v1/market/candles", 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, default=INSTRUMENTS, metavar="N", help="instruments (%(default)s)")
    instruments = parser.parse_args().scale
    _count_queries()
    hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    # An hour ago, so that the bars of the hour since are there for the maintenance runs.
    at = hour - timedelta(hours=1) + timedelta(seconds=30)
    with throw_away_home() as home, _paper_exchange(instruments) as url:
        bench = Bench(home, url, instruments, at)
        print(f"{instruments} instruments x {', '.join(DAYS)} x 250 days, as of {at:%F %R}")
        _plain(bench)
        for way in (RETENTION, ROLL_UPS):
            _from_the_start(bench, way)
        print(f"  an 'hour' is one at Blofin's real limits: {_said_of(VENUE.limits_per_period_s)}")


def _plain(bench: Bench) -> None:
    with throw_away_database() as database:
        _first_fill(bench, PLAIN, database)
        with bench.runtime(RETENTION, database) as opened:
            declare(opened, ask=False)
            began = time.perf_counter()
            prune_candles(opened.store, settle_ms=opened.settle_ms, at=bench.at)
            took_s = time.perf_counter() - began
            left = fetch_one(opened.store.connection, "SELECT count(*) FROM candles")[0]
            print(f"  retention of {KEPT_DAYS} days for 15m: {left:,} bars after it, {took_s:.1f} s")


def _from_the_start(bench: Bench, way: Way) -> None:
    with throw_away_database() as database:
        _first_fill(bench, way, database)
        for when, later in (("nothing to do", 0), ("half an hour later", 30), ("a full hour later", 60)):
            with bench.runtime(way, database) as opened:
                _maintain(bench, opened, when, bench.at + timedelta(minutes=later))


# -- a first fill --------------------------------------------------------------------------------------------


def _first_fill(bench: Bench, way: Way, database: str) -> None:
    sent_ms: list[int] = []
    runtime.RateBudget = functools.partial(UnhurriedBudget, sent_ms=sent_ms)
    with bench.runtime(way, database) as opened:
        declare(opened)
        listing = len(sent_ms)
        windows = opened.store.windows(Selection(bench.at, opened.settle_ms))
        assert len(windows) == bench.instruments * len(DAYS), len(windows)
        minimum = _fewest_requests(windows, way)
        with bench.costing() as cost:
            reports = list(fill_series(opened, windows, WHO))
        bars = fetch_one(opened.store.connection, "SELECT count(*) FROM candles")[0]
    wanted = sum(_bars(window) for window in windows)
    assert bars >= wanted if way.roll_up else bars == wanted, bars  # finer bars are fetched for a coarser one's sake
    assert all(report.status == "complete" and not report.error for report in reports)
    planned, made = (sum(getattr(report, name) for report in reports) for name in ("requests_planned", "requests"))
    assert cost.requests == planned == minimum, (cost.requests, planned, minimum)
    sent_ms = sorted(sent_ms[listing:])
    hours = (sent_ms[-1] - sent_ms[0]) / 3_600_000
    _check_limits(sent_ms)
    print(f"{way.name}: {bars:,} bars; {cost.requests:,} requests made = planned = the fewest possible")
    if made > planned:
        print(f"  {made - planned} more tries found the connection closed, and never got to the exchange")
    print(f"  {hours:.2f} hours at the real limits; here, without the waiting, {cost.seconds:.0f} s")
    derived = sum(count for name, count in _rows_by_source(reports).items() if name.startswith("derived"))
    if way.roll_up:
        print(f"  {derived:,} bars were made of finer ones")
    for name in HELPERS:
        _tell_help(windows, way, venue(name), hours)


def _bars(window: SeriesWindow) -> int:
    return (window.end_ms - window.start_ms) // timeframe(window.timeframe).step_ms


def _rows_by_source(reports: Sequence[FillReport]) -> Counter[str]:
    return sum((Counter(report.sources) for report in reports), Counter())


def _fewest_requests(windows: Sequence[SeriesWindow], way: Way) -> int:
    return sum(_pages(windows, way, lambda _: VENUE.rows_per_page).values())


def _pages(windows: Sequence[SeriesWindow], way: Way, rows_per_page: Callable[[str], int]) -> Counter[str]:
    """The fewest pages of each symbol: those of its windows, without the bars that finer ones add up to.

    For a coarser window that begins within a bar before it, a finer one may begin there too: if its last page has room
    for so few more bars, that costs nothing.
    """
    finer: dict[str, list[Interval]] = {}
    pages: Counter[str] = Counter()
    for window in sorted(windows, key=lambda window: timeframe(window.timeframe).step_ms):
        bars = timeframe(window.timeframe)
        span = Interval(window.start_ms, window.end_ms)
        made = [
            Interval(span.start if start - span.start < bars.step_ms else bars.ceil(start), bars.floor(end))
            for start, end in finer.get(window.symbol, ())
            if way.roll_up
        ]
        left = difference([span], [part for part in made if part.start < part.end])
        pages[window.symbol] += len(plan_pages(left, bars.step_ms, rows_per_page(window.timeframe)))
        finer.setdefault(window.symbol, []).append(span)
    return pages


def _check_limits(sent_ms: Sequence[int]) -> None:
    """The exchange would have let all of them in, and the schedule is the one that the budget's rules give."""
    doorkeeper = Doorkeeper(BlofinProtocol().house_rules)
    assert not any(doorkeeper.refusal("us", at_ms, "/api/v1/market/candles") for at_ms in sent_ms)
    reckoned_s = _seconds_for(len(sent_ms))
    assert abs((sent_ms[-1] - sent_ms[0]) / 1000 - reckoned_s) < 60 + 0.05 * reckoned_s, reckoned_s


def _seconds_for(count: int) -> float:
    """How long ``count`` requests take by the rules of our budget of Blofin, if nothing else takes time."""
    at_s = [0.0] * count
    for n in range(1, count):
        at_s[n] = at_s[n - 1]
        for limit, period_s in VENUE.limits_per_period_s:
            ours = limit - limit * SPARE_PERCENT // 100
            if n >= ours:
                at_s[n] = max(at_s[n], at_s[n - ours] + period_s + PERIOD_MARGIN_MS / 1000)
    return at_s[-1] if at_s else 0.0


def _tell_help(windows: Sequence[SeriesWindow], way: Way, helper: Venue, alone_h: float) -> None:
    """Split the symbols so that both are ready at once; what the helper brings counts as a stand-in's."""
    ours = list(_pages(windows, way, lambda _: VENUE.rows_per_page).values())
    theirs = list(_pages(windows, way, helper.rows).values())
    slowest_s = max(helper.spacing_ms / 1000, *(period_s / limit for limit, period_s in helper.limits_per_period_s))
    together_s, helped = min(
        (max(_seconds_for(sum(ours[n:])), sum(theirs[:n]) * slowest_s), n) for n in range(len(ours) + 1)
    )
    if math.isclose(together_s, 0) or helped == 0:
        return
    print(
        f"  with {helper.source}, {helper.rows('15m')} rows a page, for {helped} of the instruments (reckoned): "
        f"{together_s / 3600:.2f} hours instead of {alone_h:.2f}"
    )


# -- maintenance ---------------------------------------------------------------------------------------------


def _maintain(bench: Bench, opened: Runtime, when: str, at: datetime) -> None:
    """What the sensor does, and then what the task of each symbol with gaps does."""
    with bench.costing() as looking:
        declare(opened)
        GapFillLog(opened.store.connection).abandon_dead_runs()
        gaps = find_gaps(opened.store, Selection(at, opened.settle_ms))
    until = datetime.now(timezone.utc) + timedelta(seconds=RUN_S)
    reports: list[FillReport] = []
    with bench.costing() as filling:
        for symbol in symbols_with_gaps(gaps):
            declare(opened)
            windows = opened.store.windows(Selection(at, opened.settle_ms, [symbol]))
            GapFillLog(opened.store.connection).abandon_dead_runs()
            reports += fill_series(opened, windows, WHO, only=["blofin"], until=until)
    assert all(report.status == "complete" for report in reports)
    assert filling.requests == sum(report.requests for report in reports)
    inserted = sum(report.rows_inserted for report in reports)
    series = bench.instruments * len(DAYS)
    print(f"  {when + ':':20}{len(gaps):5,} of {series:,} series lack bars; found in {looking}")
    if gaps:
        print(f"  {'':20}{inserted:5,} bars stored in {filling}")


# -- what it stands on ---------------------------------------------------------------------------------------

QUERIES: Counter[str] = Counter()


def _count_queries() -> None:
    """Count the statements that this process sends; the server of the benchmarks has no pg_stat_statements."""
    for name in ("execute", "copy"):
        setattr(psycopg.Cursor, name, _counted(getattr(psycopg.Cursor, name), name))


def _counted(send: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(send)
    def sending(*args: Any, **kwargs: Any) -> Any:
        QUERIES[name] += 1
        return send(*args, **kwargs)

    return sending


def _coins(instruments: int) -> list[Coin]:
    """So many, all of them older than the history."""
    today_ms = wall_clock_ms() // DAY_MS * DAY_MS
    made_up = made_up_coins(max(0, instruments - len(LIQUID_COINS)), today_ms)
    old = [replace(coin, instrument=replace(coin.instrument, listed_ms=FIRST_LISTING_MS)) for coin in made_up]
    return [*LIQUID_COINS, *old][:instruments]


@contextmanager
def _paper_exchange(instruments: int) -> Iterator[str]:
    """In a process of its own; gives its address."""
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=serve_paper, args=(instruments, theirs))
    process.start()
    try:
        assert ours.poll(60), "no exchange"
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def serve_paper(instruments: int, pipe: Pipe) -> None:
    exchange = PaperExchange(SyntheticMarket(7, coins=_coins(instruments)), limits=NO_LIMITS)
    server = exchange.server()
    pipe.send(exchange.url)
    serve_together([server])


def _said_of(limits_per_period_s: Sequence[tuple[int, int]]) -> str:
    return " and ".join(f"{limit:,} requests in {period_s} s" for limit, period_s in limits_per_period_s)


if __name__ == "__main__":
    main()

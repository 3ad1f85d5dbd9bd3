"""Silence is not absence: whatever an exchange leaves out, moves or cuts, no bar that exists is called absent, none is
stored under another's time, and two fills of an exchange that is well again give the truth.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest

from backfill.domain.intervals import Interval, intersection, total_ms
from backfill.domain.page_plan import plan_pages
from backfill.domain.symbols import Listing
from backfill.domain.timeframes import timeframe
from backfill.domain.venues import VENUES
from backfill.exchanges.ccxt_client import CcxtClient
from backfill.jobs.fill.fill_gaps import FillReport, fill_gaps
from backfill.paper.page_faults import MOVES
from backfill.paper.server import PaperExchange
from backfill.sources.candle_source import CandleSource
from backfill.sources.ccxt_source import CcxtSource
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import SeriesWindow
from integration.exchange import candles_in_database
from integration.exchange import source_of as blofin_of
from integration.fallback.conftest import Venues
from integration.fallback.fills import want
from integration.helpers import DAY_MS, MINUTE_MS, rows

pytestmark = pytest.mark.long

PAGE_ROWS = {"blofin": 1440, "okx": 300, "bybit": 1000, "binanceusdm": 1000}
PATHS = {
    "blofin": "/api/v1/market/candles",
    "okx": "/api/v5/market/history-candles",
    "bybit": "/v5/market/kline",
    "binanceusdm": "/fapi/v1/klines",
}
ERRORS = ("limited", "firewall", "error_503")

each_venue = pytest.mark.parametrize("venue", PAGE_ROWS)


def believed_absent(store: CandleStore, window: SeriesWindow) -> list[Interval]:
    """All that is not asked for again and not counted as a gap."""
    found = rows(
        store.connection,
        "SELECT unnest(no_trade) FROM backfill.series WHERE id = %(id)s UNION ALL "
        "SELECT unnest(absent) FROM backfill.absences "
        "WHERE series_id = %(id)s AND grade NOT IN ('doubtful', 'refused')",
        {"id": window.series_id},
    )
    return [Interval(span.lower, span.upper) for (span,) in found]


def assert_nothing_is_lost(
    store: CandleStore, venues: Venues, venue: str, window: SeriesWindow, report: FillReport
) -> None:
    """No bar that exists counts as absent, and what is missing is told."""
    existing = [Interval(bar[0], bar[0] + MINUTE_MS) for bar in truth(venues, window, venue)]
    assert total_ms(intersection(existing, believed_absent(store, window))) == 0
    lacking = len(existing) - len(candles_in_database(store, window))
    assert report.missing_after >= lacking
    assert (report.status == "complete") == (report.missing_after == 0)


def truth(venues: Venues, window: SeriesWindow, venue: str) -> list[tuple[Any, ...]]:
    """The bars of the venue: open time and prices."""
    bars = venues[venue].market.candles(window.symbol, "1m", window.start_ms, window.end_ms)
    return [tuple(bar)[:5] for bar in bars.tolist()]


def stored(store: CandleStore, window: SeriesWindow) -> list[tuple[Any, ...]]:
    return [bar[:5] for bar in candles_in_database(store, window)]


def fill(store: CandleStore, venues: Venues, window: SeriesWindow) -> FillReport:
    (venue,) = store.source_names(window.source_ids)
    return fill_gaps(store, [source_of(venues[venue], venue)], window, RunIdentity("test", "run", "fill"))


@cache
def source_of(exchange: PaperExchange, venue: str) -> CandleSource:
    if venue == "blofin":
        return blofin_of(exchange)
    client = CcxtClient(VENUES[venue], base_url=exchange.url, sleep=lambda _: None)
    client.markets()  # so that they are not among the requests of a fill
    return CcxtSource(client, Listing("BTC/USDT:USDT", "perpetual", 1.0, 1.0), timeframe("1m"), settle_ms=5000)


def heal(store: CandleStore, venues: Venues, venue: str, window: SeriesWindow) -> int:
    """Two fills of an exchange that is well; gives the requests they took."""
    exchange = venues[venue]
    exchange.faults.off()
    reports = [fill(store, venues, window) for _ in range(2)]
    assert stored(store, window) == truth(venues, window, venue)
    assert (reports[-1].status, reports[-1].missing_after) == ("complete", 0)
    return sum(report.requests for report in reports)


def least_requests(store: CandleStore, venue: str, window: SeriesWindow) -> int:
    gaps = store.open_work(window, store.source_id(venue), recheck=True).askable
    return len(plan_pages(gaps, MINUTE_MS, PAGE_ROWS[venue]))


# -- the figures of the issue --------------------------------------------------------------------------------


def days(venue: str) -> int:
    return {"okx": 1}.get(venue, 4) * DAY_MS


@each_venue
@pytest.mark.parametrize("error", ERRORS)
def test_one_row_400_days_too_old_and_then_errors_lose_nothing(
    store: CandleStore, venues: Venues, venue: str, error: str
) -> None:
    window = want(store, sources=(venue,), history_ms=days(venue))
    venues[venue].faults.on("moved", by="-400d", requests=1, then=error, path=PATHS[venue])

    report = fill(store, venues, window)

    assert report.status != "complete"
    assert_nothing_is_lost(store, venues, venue, window, report)
    heal(store, venues, venue, window)


@each_venue
@pytest.mark.parametrize(
    "fault",
    [
        *({"name": "moved", "by": by, "share": 0.05} for by in MOVES),
        {"name": "neighbours_time", "share": 0.05},
        {"name": "times_swapped", "rows": 20},
        {"name": "left_out"},
        {"name": "lagging"},
        {"name": "short_page"},
        {"name": "short_page", "keep": "oldest"},
        {"name": "empty_page"},
        {"name": "wrong_cursor"},
    ],
    ids=lambda fault: " ".join(map(str, fault.values())),
)
def test_a_fault_of_pages_loses_no_bar_and_files_none_under_anothers_time(
    store: CandleStore, venues: Venues, venue: str, fault: dict[str, object]
) -> None:
    window = want(store, sources=(venue,), history_ms=days(venue) // 2)
    venues[venue].faults.on(**fault, path=PATHS[venue], seed=3)  # type: ignore[arg-type]

    for _ in range(2):
        assert_nothing_is_lost(store, venues, venue, window, fill(store, venues, window))
        assert set(stored(store, window)) <= set(truth(venues, window, venue))

    least = least_requests(store, venue, window)
    assert heal(store, venues, venue, window) <= max(least + 1, 1.1 * least)


@each_venue
@pytest.mark.parametrize("seed", range(8))
def test_any_mix_of_faults_and_then_errors_is_mended_by_two_clean_fills(
    store: CandleStore, venues: Venues, venue: str, seed: int
) -> None:
    dice = random.Random(f"{venue} {seed}")
    window = want(store, sources=(venue,), history_ms=days(venue) // 2)
    mixed = switch_on_some(venues[venue], PATHS[venue], dice)

    for _ in range(2):
        assert_nothing_is_lost(store, venues, venue, window, fill(store, venues, window))
        if "block_shifted" not in mixed:
            assert set(stored(store, window)) <= set(truth(venues, window, venue))

    least = least_requests(store, venue, window)
    assert heal(store, venues, venue, window) <= max(least + 1, 1.1 * least), mixed


def switch_on_some(exchange: PaperExchange, path: str, dice: random.Random) -> list[str]:
    faults: dict[str, dict[str, object]] = {
        "moved": {"by": "any", "share": dice.choice([0.001, 0.02, 0.3])},
        "neighbours_time": {"rows": dice.randrange(1, 30)},
        "times_swapped": {"rows": 2 * dice.randrange(1, 10)},
        "left_out": {"share": dice.choice([0.01, 0.05, 0.5])},
        "duplicated": {"rows": dice.randrange(1, 30)},
        "garbled": {"rows": dice.randrange(1, 30)},
        "block_shifted": {"rows": dice.randrange(2, 40)},
        "short_page": {"share": dice.choice([0.1, 0.3, 0.9]), "keep": dice.choice(["newest", "oldest"])},
        "empty_page": {},
        "lagging": {"rows": dice.randrange(1, 200)},
        "wrong_cursor": {"by": dice.choice(["-1page", "+1page", "-30bar", "+7bar"])},
    }
    mixed = dice.sample(sorted(faults), dice.randrange(1, 4))
    for name in mixed:
        seed, probability = dice.randrange(1, 1000), dice.choice([0.3, 0.7, 1.0])
        exchange.faults.on(name, path=path, probability=probability, seed=seed, **faults[name])  # type: ignore[arg-type]
    if dice.random() < 0.5:
        exchange.faults.on(dice.choice(ERRORS), path=path, after=dice.randrange(1, 6))
    return mixed

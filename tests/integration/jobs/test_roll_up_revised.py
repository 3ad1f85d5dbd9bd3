"""What becomes of bars that were made of finer ones: the primary's own come, theirs are corrected, a run is killed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backfill.config.universe_file import load_universe
from backfill.domain.timeframes import utc
from backfill.jobs.maintain.audit import audit
from backfill.jobs.universe.declare_universe import declare_universe
from backfill.storage.candle_store import CandleStore, StoredPage
from backfill.storage.database import connect
from backfill.storage.series import Selection
from integration.exchange import (
    PaperBlofin,
    assert_equals_market,
    bars_of,
    fill,
    punch,
    run_log,
)
from integration.helpers import (
    HOUR_MS,
    NOON_MS,
    NOW_MS,
    assert_held_is_true,
    candles,
    contents,
    held_ms,
    one,
    rows,
    store_bars,
    stored_ms,
)
from integration.jobs.rolled_up import (
    QUARTER_MS,
    by_source,
    fill_all,
    held_quarters,
    revisions,
    want,
)

# -- what becomes of them ------------------------------------------------------------------------------------


def test_the_homes_page_replaces_what_was_made_and_keeps_it_as_a_revision(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    quarters = held_quarters(store, exchange)
    hours = want(store, "1h")
    fill(store, exchange, hours)
    punch(store, quarters, [NOON_MS - 5 * HOUR_MS])
    punch(store, hours, [NOON_MS - 5 * HOUR_MS])

    report = fill(store, exchange, hours)

    assert (report.requests, report.rows_inserted, report.rows_revised) == (1, 1, 19)
    assert revisions(store, hours) == [("native_restored", "derived:15m", "blofin", 19)]
    assert by_source(store, hours) == {"blofin": 20, "derived:15m": 4}
    assert_equals_market(store, hours, exchange.market)


@pytest.mark.parametrize(("told_otherwise", "requests"), [(2, 0), (3, 1)])
def test_where_the_primary_tells_its_bars_otherwise_none_are_made_any_more(
    store: CandleStore, exchange: PaperBlofin, told_otherwise: int, requests: int
) -> None:
    held_quarters(store, exchange)
    hours = want(store, "1h")
    fill(store, exchange, hours)
    store_bars(store, hours, candles(bars_of(hours)[:told_otherwise]))
    punch(store, hours, bars_of(hours)[-3:])

    report = fill(store, exchange, hours)

    assert (report.requests, report.missing_after) == (requests, 0)
    assert by_source(store, hours).get("derived:15m", 0) == (0 if requests else 22)


def test_where_the_primary_confirms_its_bars_more_are_made(store: CandleStore, exchange: PaperBlofin) -> None:
    quarters = held_quarters(store, exchange)
    hours = want(store, "1h")
    fill(store, exchange, hours)
    punch(store, quarters, bars_of(quarters)[-4:-1])
    punch(store, hours, bars_of(hours)[-1:])
    fill(store, exchange, hours)
    assert by_source(store, hours) == {"blofin": 24}
    punch(store, hours, bars_of(hours)[:2])

    assert fill(store, exchange, hours).sources == {"derived:15m": 2}


def test_another_sources_page_leaves_what_was_made_of_the_homes_bars(store: CandleStore, exchange: PaperBlofin) -> None:
    two = {"sources": ("blofin", "okx")}
    held_quarters(store, exchange, **two)
    hours = want(store, "1h", **two)
    fill(store, exchange, hours)
    before = contents(store.connection)

    stored = store_bars(store, hours, candles(bars_of(hours)), source="okx")

    assert (stored.inserted, stored.revised) == (0, 0)
    assert contents(store.connection) == before


def test_what_was_made_follows_a_correction_of_what_it_was_made_of(
    store: CandleStore, exchange: PaperBlofin, database_uri: str
) -> None:
    windows = [want(store, name) for name in ("15m", "1h", "4h")]
    fill_all(database_uri, exchange, windows)
    at_ms = NOON_MS - 8 * HOUR_MS
    store_bars(store, windows[0], candles([at_ms + QUARTER_MS], close=1_000_000.0))

    reports = fill_all(database_uri, exchange, windows)

    assert [(report.requests, report.rows_inserted, report.rows_revised) for report in reports] == [
        *[(0, 0, 0), (0, 0, 1), (0, 0, 1)]
    ]
    highest = "SELECT timeframe, epoch_ms(open_time) FROM ohlcv WHERE high = 1000000 ORDER BY 1"
    store.connection.execute("SET search_path = backfill")
    assert rows(store.connection, highest) == [("15m", at_ms + QUARTER_MS), ("1h", at_ms), ("4h", at_ms)]
    assert revisions(store, windows[2]) == [("provider_correction", "derived:1h", "derived:1h", 1)]
    assert [report.rows_revised for report in fill_all(database_uri, exchange, windows)] == [0, 0, 0]


def test_a_correction_never_touches_the_homes_own_bar(store: CandleStore, exchange: PaperBlofin) -> None:
    quarters = held_quarters(store, exchange)
    hours = want(store, "1h", roll_up=False)
    fill(store, exchange, hours)
    store.connection.execute("UPDATE backfill.series SET roll_up = true")
    store_bars(store, quarters, candles([NOON_MS - 5 * HOUR_MS], close=1_000_000.0))

    report = fill(store, exchange, hours._replace(roll_up=True), recheck=True)

    assert (report.requests, report.rows_revised) == (0, 0)
    assert_equals_market(store, hours, exchange.market)


def test_a_recheck_compares_all_that_was_made(store: CandleStore, exchange: PaperBlofin) -> None:
    """A stranger's UPDATE leaves no revision behind."""
    quarters = held_quarters(store, exchange)
    hours = want(store, "1h")
    fill(store, exchange, hours)
    store.connection.execute(
        "UPDATE backfill.candles SET high = 1000000 WHERE series_id = %s AND open_time = %s",
        (quarters.series_id, utc(NOON_MS - 5 * HOUR_MS)),
    )

    assert fill(store, exchange, hours).rows_revised == 0
    assert fill(store, exchange, hours, recheck=True).rows_revised == 1


def test_what_is_made_outlives_the_bars_it_was_made_of(store: CandleStore, exchange: PaperBlofin) -> None:
    quarters = held_quarters(store, exchange)
    hours = want(store, "1h")
    fill(store, exchange, hours)
    punch(store, quarters, bars_of(quarters))

    report = fill(store, exchange, hours, recheck=True)

    assert (report.requests, report.rows_revised, report.missing_after) == (0, 0, 0)
    assert by_source(store, hours) == {"derived:15m": 24}


def test_what_is_made_of_settled_bars_is_settled_and_the_newest_are_read_again_later(
    store: CandleStore, exchange: PaperBlofin
) -> None:
    held_quarters(store, exchange)
    hours = want(store, "1h")

    fill(store, exchange, hours)

    settled = one(store.connection, "SELECT settled FROM backfill.series WHERE id = %s", (hours.series_id,))
    assert [(r.lower, r.upper) for r in settled] == [(hours.start_ms, NOON_MS - 2 * HOUR_MS)]


# -- the books -----------------------------------------------------------------------------------------------


class _Interrupted(CandleStore):
    """Dies after the rows are written and before their transaction ends."""

    def store_page(self, *page: Any, **how: Any) -> StoredPage:
        super().store_page(*page, **how)
        raise KeyboardInterrupt


def test_killed_in_the_middle_it_leaves_nothing_half_done(
    store: CandleStore, exchange: PaperBlofin, database_uri: str
) -> None:
    held_quarters(store, exchange)
    hours = want(store, "1h")
    with _Interrupted(connect(database_uri)) as dying, pytest.raises(KeyboardInterrupt):
        fill(dying, exchange, hours)
    assert stored_ms(store.connection, hours) == held_ms(store.connection, hours) == []
    assert run_log(store, "status, sources")[-1] == ("failed", {})

    report = fill(store, exchange, hours)

    assert (report.status, report.rows_inserted, report.requests) == ("complete", 24, 0)
    assert run_log(store, "status, rows_inserted, requests, sources")[-1] == ("complete", 24, 0, {"derived:15m": 24})


def test_the_audit_finds_nothing_amiss(store: CandleStore, exchange: PaperBlofin, database_uri: str) -> None:
    fill_all(database_uri, exchange, [want(store, name) for name in ("15m", "1h", "4h")])

    report = audit(store, at=utc(NOW_MS) + timedelta(hours=1))

    assert report.lines == []
    assert_held_is_true(store.connection)


def test_the_universe_says_which_series_are_made_of_others(store: CandleStore, tmp_path: Path) -> None:
    universe = tmp_path / "universe.yaml"
    text = "instruments: [BTC-USDT]\ntimeframes: {15m: 7d, 1h: {history: 7d, roll_up: false}, 4h: 7d}\n"
    for more, rolled_up in (("roll_up: true\n", ["15m", "4h"]), ("", [])):
        universe.write_text(text + more)
        declare_universe(store, load_universe(universe))
        windows = store.windows(Selection(store.now()))
        assert [window.timeframe for window in windows if window.roll_up] == rolled_up

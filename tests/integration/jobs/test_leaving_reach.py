"""Bars that soon no source can give: who is warned, when, and that they are asked for first."""

from __future__ import annotations

import pytest

from backfill.config.universe_model import SeriesWish, Validation
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.domain.venues import venue
from backfill.jobs.fill.fill_gaps import fill_gaps
from backfill.jobs.fill.find_gaps import find_gaps, symbols_with_gaps
from backfill.jobs.status.report_run import EXCUSED_MS, report_run
from backfill.jobs.validate.validate_series import validate_series
from backfill.sources.request_budget import RunBudget
from backfill.storage.candle_store import CandleStore
from backfill.storage.conditions import conditions
from backfill.storage.series import Selection, SeriesWindow
from backfill.storage.series_status import Leaving, leaving_reach
from integration.exchange import WHO, PaperBlofin, source_of
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    NOW_MS,
    candles,
    one,
    opens,
    rows,
    store_bars,
    stored_ms,
    wanted_series,
)

# Of Hyperliquid, 3 days and 11 hours of minutes; the oldest bars that it serves then.
REACH_MS = 4990 * MINUTE_MS
EDGE_MS = NOON_MS - REACH_MS


def reaches(store: CandleStore, **bars: int | None) -> None:
    for name, reach in bars.items():
        sql = "UPDATE backfill.sources SET reach_bars = %s WHERE id = %s"
        store.connection.execute(sql, (reach, store.source_id(name)))


def lacking(store: CandleStore, window: SeriesWindow, *gaps: Interval) -> None:
    missing = {ms for gap in gaps for ms in opens(*gap)}
    store_bars(store, window, candles(set(opens(window.start_ms, window.end_ms)) - missing))


def gap(at_ms: int, bars: int = 5) -> Interval:
    return Interval(at_ms, at_ms + bars * MINUTE_MS)


def said(store: CandleStore, at_ms: int = NOW_MS, symbol: str = "BTC-USDT") -> list[Leaving]:
    return leaving_reach(store, Selection(utc(at_ms), symbols=[symbol]), EXCUSED_MS)


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, history_ms=6 * DAY_MS, sources=("hyperliquid", "gate"))


def test_a_warning_comes_at_least_a_day_ahead_and_names_the_time(store: CandleStore, window: SeriesWindow) -> None:
    reaches(store, hyperliquid=4990, gate=720)
    lacking(store, window, gap(NOON_MS - DAY_MS))
    leaves_ms = NOON_MS - DAY_MS + REACH_MS
    warned = [hours for hours in range(72) if said(store, NOW_MS + hours * HOUR_MS)]

    ahead_h = (leaves_ms - NOW_MS) / HOUR_MS - warned[0]
    assert 24 <= ahead_h <= 48
    (one_gap,) = said(store, NOW_MS + warned[0] * HOUR_MS)
    assert one_gap == Leaving("BTC-USDT", "1m", 5, utc(NOON_MS - DAY_MS), utc(leaves_ms))
    assert "BTC-USDT 1m: 5 missing bars" in str(one_gap)


@pytest.mark.parametrize(
    ("hyperliquid", "gate", "gate_lacks", "expected"),
    [
        (4990, 9990, False, 0),  # the other one reaches further back
        (4990, None, False, 0),  # or as far as one likes
        (4990, 9990, True, 5),  # but it has answered that it has none
        (4990, None, True, 5),
        (4990, 720, False, 5),
        (None, None, False, 0),
    ],
)
def test_it_is_the_last_eligible_source_that_counts(
    store: CandleStore, window: SeriesWindow, hyperliquid: int | None, gate: int | None, gate_lacks: bool, expected: int
) -> None:
    reaches(store, hyperliquid=hyperliquid, gate=gate)
    leaving = gap(EDGE_MS + 12 * HOUR_MS)
    lacking(store, window, leaving)
    if gate_lacks:
        store_bars(store, window, candles([]), source="gate", absent=[leaving])

    assert sum(one_gap.bars for one_gap in said(store)) == expected
    if expected:
        assert said(store)[0].leaves_at == utc(leaving.start + REACH_MS)


def test_a_source_whose_listing_is_refused_does_not_count(store: CandleStore, window: SeriesWindow) -> None:
    reaches(store, hyperliquid=4990, gate=None)
    lacking(store, window, gap(EDGE_MS + 12 * HOUR_MS))
    store.connection.execute(
        "INSERT INTO backfill.listings (instrument_id, source_id, venue_symbol, instrument_class, price_scale, "
        "volume_scale, status) SELECT id, %s, 'BTC', 'perpetual', 1, 1, 'refused' FROM backfill.instruments",
        (store.source_id("gate"),),
    )
    assert [one_gap.bars for one_gap in said(store)] == [5]


def test_conditions_tell_what_leaves_from_what_is_gone(store: CandleStore, window: SeriesWindow) -> None:
    reaches(store, hyperliquid=4990, gate=720)
    lacking(store, window, gap(EDGE_MS - 12 * HOUR_MS), gap(EDGE_MS + 26 * HOUR_MS), gap(NOON_MS - 2 * HOUR_MS))
    days = {row["day"]: row for row in conditions(store, Selection(utc(NOW_MS)))}

    gone, leaving, young = (
        days[utc(ms).date()] for ms in (EDGE_MS - 12 * HOUR_MS, EDGE_MS + 26 * HOUR_MS, NOON_MS - 2 * HOUR_MS)
    )
    assert (gone["condition"], gone["leaves_reach_at"]) == ("missing", None)
    assert (leaving["condition"], leaving["leaves_reach_at"]) == ("pending", utc(EDGE_MS + 26 * HOUR_MS + REACH_MS))
    assert (young["condition"], young["leaves_reach_at"]) == ("pending", None)
    assert "beyond the reach" in gone["reason"]


def test_series_with_leaving_bars_come_first(store: CandleStore, window: SeriesWindow) -> None:
    reaches(store, hyperliquid=4990, gate=720)
    lacking(store, window, gap(EDGE_MS + 12 * HOUR_MS))
    for symbol, hours in (("ETH-USDT", 1), ("SOL-USDT", 3), ("XRP-USDT", 60)):
        another = wanted_series(store, symbol, history_ms=6 * DAY_MS, sources=("hyperliquid",))
        lacking(store, another, gap(EDGE_MS + 2 * HOUR_MS if hours == 60 else NOON_MS - hours * HOUR_MS))

    found = find_gaps(store, Selection(utc(NOW_MS)))

    assert symbols_with_gaps(found, 1024) == ["XRP-USDT", "BTC-USDT", "ETH-USDT", "SOL-USDT"]
    assert [one_gap.missing_candles for one_gap in found] == [5] * 4, "a series with two sources is counted once"


class ForgetfulSource:
    """A paper source that says how far back it serves."""

    def __init__(self, source: object, from_ms: int) -> None:
        self._source = source
        self._from_ms = from_ms

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    def serves_from_ms(self) -> int:
        return self._from_ms


def test_a_run_with_too_few_requests_asks_for_the_leaving_bars_first(store: CandleStore, exchange: PaperBlofin) -> None:
    window = wanted_series(store, history_ms=6 * DAY_MS)
    from_ms = NOON_MS - 5 * DAY_MS
    asked = ForgetfulSource(source_of(exchange), from_ms)
    fill_gaps(store, [asked], window, WHO, within=RunBudget(None, most_requests=2))  # type: ignore[list-item]

    opened = stored_ms(store.connection, window)
    assert min(opened) == from_ms
    assert max(opened) < from_ms + 2 * DAY_MS + DAY_MS


def test_report_and_validation_warn(store: CandleStore, window: SeriesWindow) -> None:
    reaches(store, hyperliquid=4990, gate=720)
    lacking(store, window, gap(EDGE_MS + 12 * HOUR_MS))

    report = validate_series(store, iter(()), iter(()), window, WHO, Validation(objective_pct=50), at=utc(NOW_MS))

    assert len(report.problems) == 1
    assert "leave the reach of every source" in report.problems[0]
    # The report is of now: all that closed since is missing.
    (warned,) = report_run(store, WHO.dag_id, WHO.run_id, ["BTC-USDT"], 6).leaving
    assert "leave the reach of every source" in warned


def test_a_declaration_writes_down_how_far_each_source_reaches(store: CandleStore) -> None:
    wish = SeriesWish("BTC-USDT", "1m", DAY_MS, None, None, None, ("hyperliquid", "okx", "gate"), False)
    store.wishes.declare([wish], store.source_id)

    said_bars = dict(rows(store.connection, "SELECT name, reach_bars FROM backfill.sources WHERE name <> 'manual'"))
    assert (
        {name: said_bars[name] for name in wish.sources}
        == {name: venue(name).serves_bars for name in wish.sources}
        == {"hyperliquid": 4990, "okx": None, "gate": 9990}
    )
    assert one(store.connection, "SELECT count(*) FROM backfill.series") == 1


def test_a_source_may_reach_back_by_timeframe(store: CandleStore) -> None:
    """Yahoo has 7 days of minutes, and days to the listing."""
    wishes = [
        SeriesWish("AAPL", name, 10 * DAY_MS, None, None, None, ("yfinance",), False, calendar=None, splits="adjusted")
        for name in ("1m", "15m", "1d")
    ]
    store.wishes.declare(wishes, store.source_id)
    names = "SELECT reach_by_timeframe FROM backfill.sources WHERE name = 'yfinance'"
    assert one(store.connection, names) == {"1m": 10_070, "5m": 17_270, "15m": 5_750, "30m": 2_870}
    for window in store.windows(Selection(utc(NOW_MS), symbols=["AAPL"])):
        lacking(store, window, Interval(window.start_ms, window.end_ms))

    # Of ten days of minutes the oldest 4330 are out of reach, and in two days 2880 more will be.
    told = said(store, symbol="AAPL")
    assert [(one.timeframe, one.bars) for one in told] == [("1m", 2880)]

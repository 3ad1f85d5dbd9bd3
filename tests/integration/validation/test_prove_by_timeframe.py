"""What the primary source's own coarser bars say of its finer ones."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest

from backfill.domain.timeframes import TIMEFRAMES, utc
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.paper.bars import grouped
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.market import Candles, PaperMarket
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import assert_equals_market
from integration.fallback.conftest import MARKET, Open, Venues
from integration.fallback.fills import run, want
from integration.helpers import HOUR_MS, MINUTE_MS, NOON_MS, one, rows
from integration.validation.validations import findings, page_checks, span_of, validate

AN_HOUR_AGO = NOON_MS - HOUR_MS
TWO_HOURS_AGO = NOON_MS - 2 * HOUR_MS


class QuietMarket(PaperMarket):
    """A market in some of whose minutes nobody trades: it has no bar of them, and coarser bars count none."""

    def __init__(self, quiet_ms: Collection[int]) -> None:
        self._market = SyntheticMarket(coins=LIQUID_COINS[:1])
        super().__init__(self._market.instruments)
        self.shows_running_bars = self._market.shows_running_bars
        self._quiet_ms = list(quiet_ms)

    def describe(self) -> dict[str, object]:
        return {"kind": "quiet"}

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        minutes = self._market.candles(symbol, "1m", start_ms, end_ms, now_ms)
        minutes = minutes[~np.isin(minutes["open_ms"], self._quiet_ms)]
        bar = timeframe_named(timeframe)
        return minutes if timeframe == "1m" else grouped(minutes, bar, self.instrument(symbol))


def primary_alone(store: CandleStore) -> SeriesWindow:
    return want(store, sources=("blofin",))


def gaps(store: CandleStore, window: SeriesWindow) -> int:
    return store.open_work(window).missing_candles


def test_minutes_whose_lack_the_coarser_bars_confirm_had_no_trade(
    venues: Venues, store: CandleStore, opened: Open
) -> None:
    quiet = [AN_HOUR_AGO, AN_HOUR_AGO + MINUTE_MS, TWO_HOURS_AGO]
    venues.replace("blofin", opened("blofin", QuietMarket(quiet)))
    window = primary_alone(store)

    (filled,) = run(venues, [window])

    assert span_of(store, window, "no_trade") == [
        (TWO_HOURS_AGO, TWO_HOURS_AGO + MINUTE_MS), (AN_HOUR_AGO, AN_HOUR_AGO + 2 * MINUTE_MS)
    ]  # fmt: skip
    assert span_of(store, window, "lost") == []
    assert (filled.status, filled.requests) == ("complete", 2), "one page of five minutes settles them all"
    venues.forget_counts()
    (report,) = validate(venues, [window])
    assert (report.coverage_pct, report.problems, venues.asked("blofin")) == (100.0, [], 0)


def test_what_is_proved_to_have_had_no_trade_is_no_gap_when_the_answer_has_grown_old(
    venues: Venues, store: CandleStore, opened: Open
) -> None:
    venues.replace("blofin", opened("blofin", QuietMarket([AN_HOUR_AGO])))
    window = primary_alone(store)
    run(venues, [window])
    validate(venues, [window])
    store.connection.execute("UPDATE backfill.absences SET expires_at = now() - interval '1 hour'")
    venues.forget_counts()

    assert gaps(store, window) == 0
    run(venues, [window])
    assert venues.asked("blofin") == 0
    run(venues, [window], recheck=True)
    assert venues.asked("blofin") == 1


def test_a_minute_that_the_coarser_bar_counts_is_lost_and_stays_a_gap(venues: Venues, store: CandleStore) -> None:
    window = primary_alone(store)
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms={AN_HOUR_AGO})
    run(venues, [window])
    assert gaps(store, window) == 1, "one answer proves nothing, and the longer bar has a trade more"

    (report,) = validate(venues, [window])

    assert span_of(store, window, "lost") == [(AN_HOUR_AGO, AN_HOUR_AGO + MINUTE_MS)]
    assert gaps(store, window) == 1
    assert [(one["kind"], one["verdict"], one["start_ms"]) for one in findings(store)] == [
        ("lost_bars", "lost", AN_HOUR_AGO)
    ]
    assert report.open_findings == {"lost_bars": 1}
    assert one(store.connection, "SELECT count(*) FROM backfill.gaps") == 1


def test_a_lost_minute_is_asked_for_again_at_once_and_is_whole_when_the_primary_has_found_it(
    venues: Venues, store: CandleStore
) -> None:
    window = primary_alone(store)
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms={AN_HOUR_AGO})
    run(venues, [window])
    venues["blofin"].faults.off()

    (report,) = validate(venues, [window])

    assert_equals_market(store, window, MARKET)
    assert (findings(store), report.problems, report.missing) == ([], [], 0)


def test_a_lost_minute_is_taken_from_another_source(venues: Venues, store: CandleStore) -> None:
    window = want(store)
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms={AN_HOUR_AGO})
    for name in ("okx", "bybit", "binanceusdm"):
        venues[name].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms={AN_HOUR_AGO})
    run(venues, [window])
    validate(venues, [window])
    assert gaps(store, window) == 1

    venues["okx"].faults.off()
    run(venues, [window], recheck=True)

    assert gaps(store, window) == 0
    validate(venues, [window])
    assert findings(store, "lost_bars") == []


def test_a_wrong_candle_is_found_by_the_coarser_bar_and_replaced(venues: Venues, store: CandleStore) -> None:
    window = primary_alone(store)
    run(venues, [window])
    store.connection.execute(
        "UPDATE backfill.candles SET volume = volume * 1.01 WHERE series_id = %s AND open_time = %s",
        (window.series_id, utc(AN_HOUR_AGO)),
    )

    (report,) = validate(venues, [window._replace(start_ms=window.start_ms)], thorough=True)

    assert_equals_market(store, window, MARKET)
    assert report.counts["rows_restored"] == 1
    assert (findings(store), report.problems) == ([], [])
    sql = "SELECT backfill.epoch_ms(open_time), reason FROM backfill.revisions"
    assert rows(store.connection, sql) == [(AN_HOUR_AGO, "provider_correction")]


def test_a_candle_that_the_primary_stands_by_although_its_coarser_bar_denies_it_is_a_finding(
    venues: Venues, store: CandleStore
) -> None:
    window = primary_alone(store)
    venues["blofin"].faults.on("more_volume", symbol="BTC-USDT", timeframe="1m", opens_ms={AN_HOUR_AGO})
    run(venues, [window])

    (report,) = validate(venues, [window], thorough=True)

    (found,) = findings(store, "timeframes")
    assert (found["kind"], found["verdict"], found["field"]) == ("timeframes", "disagree", "volume")
    assert found["start_ms"] == timeframe_named("5m").floor(AN_HOUR_AGO)
    assert found["stored"] > found["other"]
    assert found["difference"] == pytest.approx(found["stored"] / found["other"] - 1, rel=0.2)
    # What was paid does not fit the larger volume either.
    assert report.open_findings == {"timeframes": 1, "quantities": 1}

    venues["blofin"].faults.off()
    run(venues, [window], recheck=True)
    store.connection.execute("UPDATE backfill.findings SET last_seen_at = '2020-01-01' WHERE field IS NULL")
    validate(venues, [window], thorough=True)
    assert findings(store) == [], "what has been mended is settled"


def test_timeframes_that_are_both_kept_are_compared_without_a_question(venues: Venues, store: CandleStore) -> None:
    window = primary_alone(store)._replace(start_ms=NOON_MS - 48 * HOUR_MS)
    fives = want(store, timeframe="5m", sources=("blofin",), history_ms=48 * HOUR_MS)
    run(venues, [window, fives])
    store.connection.execute(
        "UPDATE backfill.candles SET high = high * 1.01 WHERE series_id = %s AND open_time = %s",
        (window.series_id, utc(AN_HOUR_AGO)),
    )
    venues.forget_counts()

    (report,) = validate(venues, [window])

    assert venues.asked("blofin") == 1, "only for the bar in doubt"
    assert report.counts["rows_restored"] == 1
    assert [verdict for verdict, _, _ in page_checks(store, "next_timeframe")] == ["agree"]


def test_a_primary_that_has_no_coarser_bars_settles_nothing(venues: Venues, store: CandleStore) -> None:
    window = primary_alone(store)
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms={AN_HOUR_AGO})
    for longer in TIMEFRAMES:
        if longer != "1m":
            bars = range(0, NOON_MS, timeframe_named(longer).step_ms)
            venues["blofin"].faults.on("missing", symbol="BTC-USDT", timeframe=longer, opens_ms=bars[-9999:])
    run(venues, [window])
    asked = []
    for _ in range(2):
        venues.forget_counts()
        validate(venues, [window])
        asked.append(venues.asked("blofin"))

    assert (span_of(store, window, "lost"), span_of(store, window, "no_trade")) == ([], [])
    assert asked[1] == 0, "it is not asked again with every run"

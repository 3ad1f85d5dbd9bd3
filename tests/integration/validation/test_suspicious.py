"""Flat bars without volume: an outage of the primary source while others traded, silence where they did not."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.paper.bars import grouped
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.market import Candles, PaperMarket
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import candles_in_database
from integration.fallback.conftest import Open, Venues
from integration.fallback.fills import native_candles, run, want
from integration.helpers import HOUR_MS, MINUTE_MS, NOON_MS, opens
from integration.validation.validations import findings, revisions, validate

OUTAGE_MS = opens(NOON_MS - HOUR_MS, NOON_MS - HOUR_MS + 12 * MINUTE_MS)
OTHERS = ("okx", "bybit", "binanceusdm")

OpenMarkets = Callable[["FlatMarket", "FlatMarket"], None]


class FlatMarket(PaperMarket):
    """A market that writes flat bars of no volume for some minutes, as if nobody had traded; ``flat_ms`` may change."""

    def __init__(self, flat_ms: Collection[int]) -> None:
        self._market = SyntheticMarket(coins=LIQUID_COINS[:1])
        super().__init__(self._market.instruments)
        self.shows_running_bars = self._market.shows_running_bars
        self.flat_ms = list(flat_ms)

    def describe(self) -> dict[str, object]:
        return {"kind": "flat"}

    def candles(self, symbol: str, timeframe: str, start_ms: int, end_ms: int, now_ms: int | None = None) -> Candles:
        bar = timeframe_named(timeframe)
        minutes = self._market.candles(symbol, "1m", start_ms, end_ms, now_ms).copy()
        flat = np.isin(minutes["open_ms"], self.flat_ms)
        last = np.maximum.accumulate(np.where(flat, 0, np.arange(len(minutes))))
        for price in ("open", "high", "low", "close"):
            minutes[price] = np.where(flat, minutes["close"][last], minutes[price])
        for volume in ("base_volume", "quote_volume"):
            minutes[volume][flat] = 0.0
        return minutes if timeframe == "1m" else grouped(minutes, bar, self.instrument(symbol))


@pytest.fixture
def serve(venues: Venues, opened: Open) -> OpenMarkets:
    """Puts one market behind the primary and another behind the others, which are as near to it as real venues are."""

    def put(primary: FlatMarket, other: FlatMarket) -> None:
        venues.replace("blofin", opened("blofin", primary))
        for name in OTHERS:
            venues.replace(name, opened(name, other, difference_bp=0.2))

    return put


def filled(venues: Venues, store: CandleStore) -> SeriesWindow:
    window = want(store)
    run(venues, [window])
    venues.forget_counts()
    return window


def flat(store: CandleStore) -> list[dict[str, Any]]:
    return findings(store, "flat_bars")


def test_flat_bars_while_others_trade_are_asked_for_again_and_stay_a_finding(
    venues: Venues, store: CandleStore, serve: OpenMarkets
) -> None:
    serve(FlatMarket(OUTAGE_MS), FlatMarket([]))
    window = filled(venues, store)

    (report,) = validate(venues, [window])

    (found,) = flat(store)
    assert (found["verdict"], found["start_ms"], found["source"]) == ("disagree", OUTAGE_MS[0], "blofin")
    assert venues.asked("blofin") > 0
    assert report.open_findings["flat_bars"] == 1
    assert any("flat_bars" in problem for problem in report.problems)
    assert revisions(store, window) == []


def test_flat_bars_that_the_primary_has_mended_are_replaced(
    venues: Venues, store: CandleStore, serve: OpenMarkets
) -> None:
    primary = FlatMarket(OUTAGE_MS)
    serve(primary, FlatMarket([]))
    window = filled(venues, store)
    primary.flat_ms = []

    (report,) = validate(venues, [window])

    assert candles_in_database(store, window) == native_candles(window)
    assert revisions(store, window) == [(open_ms, "provider_correction") for open_ms in OUTAGE_MS]
    assert (findings(store), report.problems) == ([], [])


def test_a_finding_is_settled_when_the_primary_mends_its_bars_later(
    venues: Venues, store: CandleStore, serve: OpenMarkets
) -> None:
    primary = FlatMarket(OUTAGE_MS)
    serve(primary, FlatMarket([]))
    window = filled(venues, store)
    validate(venues, [window])
    primary.flat_ms = []
    forget_page_checks(store)
    a_day_passes(store)

    (report,) = validate(venues, [window])

    assert candles_in_database(store, window) == native_candles(window)
    assert (findings(store), report.problems) == ([], [])


def test_flat_bars_while_the_others_are_as_quiet_are_nothing(
    venues: Venues, store: CandleStore, serve: OpenMarkets
) -> None:
    serve(FlatMarket(OUTAGE_MS), FlatMarket(OUTAGE_MS))
    window = filled(venues, store)

    (report,) = validate(venues, [window])

    assert (findings(store), report.problems) == ([], [])
    assert venues.asked("blofin") == 0


def test_flat_bars_that_nobody_can_speak_of_are_suspects(
    venues: Venues, store: CandleStore, serve: OpenMarkets
) -> None:
    serve(FlatMarket(OUTAGE_MS), FlatMarket([]))
    window = filled(venues, store)
    for name in OTHERS:
        venues[name].faults.on("geo_block")

    (report,) = validate(venues, [window], on_failure="fail")

    assert [found["verdict"] for found in flat(store)] == ["suspect"]
    assert (report.problems, report.open_findings) == ([], {}), "nothing fails since nobody could be asked"
    assert any("1 suspects" in note for note in report.notes)
    for name in OTHERS:
        venues[name].faults.off()
    validate(venues, [window])
    assert [found["verdict"] for found in flat(store)] == ["disagree"]


def test_the_primary_is_asked_about_a_finding_once_a_day(
    venues: Venues, store: CandleStore, serve: OpenMarkets
) -> None:
    serve(FlatMarket(OUTAGE_MS), FlatMarket([]))
    window = filled(venues, store)
    validate(venues, [window])
    asked = []
    for passes in (False, False, True, False, False):
        venues.forget_counts()
        forget_page_checks(store)
        if passes:
            a_day_passes(store)
        validate(venues, [window])
        asked.append(venues.asked("blofin") > 0)

    assert asked == [False, False, True, False, False]


def forget_page_checks(store: CandleStore) -> None:
    """Every page is due again."""
    store.connection.execute("DELETE FROM backfill.findings WHERE kind = 'cross_source' AND field IS NULL")


def a_day_passes(store: CandleStore) -> None:
    """The findings were found, and last seen, a day before the moment that validations speak of."""
    store.connection.execute(
        "UPDATE backfill.findings SET found_at = to_timestamp(%(at)s) - %(day)s, "
        "last_seen_at = to_timestamp(%(at)s) - %(day)s",
        {"at": NOON_MS // 1000, "day": timedelta(hours=25)},
    )

"""Yahoo's chart endpoint: the kit, and what is its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import DAY_MS, MINUTE_MS, timeframe
from backfill.errors import BadPayload, RequestRefused
from backfill.exchanges.source_contract import RegisteredSource, SourceAccess
from backfill.exchanges.yahoo import VENUE, YahooClient, american_stock
from backfill.paper.market import PaperMarket
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.yahoo_protocol import YahooProtocol
from backfill.testing.source_contract import NOW_MS, Bench, SourceContract
from integration.sources.assets import asset

MINUTE, DAY = timeframe("1m"), timeframe("1d")
THIS_MINUTE_MS = MINUTE.floor(NOW_MS)
MARKET = SyntheticMarket(coins=[asset("AAPL", "0.01", 228.5, listed_ms=NOW_MS - 5 * DAY_MS)], quiet_bars="absent")
QUIET = SyntheticMarket(coins=[asset("AAPL", "0.01", 228.5)], quiet_share=0.3, quiet_bars="absent")


def client_at_now(access: SourceAccess) -> YahooClient:
    return YahooClient(access, clock=lambda: NOW_MS / 1000)


class TestYahoo(SourceContract):
    registered = RegisteredSource(VENUE, client_at_now)
    protocol = YahooProtocol
    symbol = "AAPL"
    unlisted = "NOSUCH"

    def market(self) -> PaperMarket:
        return MARKET


class TestYahooWithQuotesAndNulls(TestYahoo):
    @staticmethod
    def protocol() -> YahooProtocol:
        return YahooProtocol(live_quote=True, nulls=True)


@contextmanager
def yahoo(market: PaperMarket = QUIET, **how: bool) -> Iterator[Bench]:
    with PaperExchange(market, YahooProtocol(**how), clock=lambda: NOW_MS) as exchange, requests.Session() as session:
        yield Bench(exchange, session)


def test_the_newest_quote_is_no_bar_and_rows_of_nulls_are_none() -> None:
    window = Interval(THIS_MINUTE_MS - 60 * MINUTE_MS, THIS_MINUTE_MS + MINUTE_MS)
    with yahoo() as plain, yahoo(live_quote=True, nulls=True) as other:
        true, told = (client_at_now(bench.access()).bars("AAPL", MINUTE, window) for bench in (plain, other))
    assert 20 < len(true.bars) < 60
    assert told.bars == true.bars


@pytest.mark.parametrize(("name", "days"), [("1m", 7), ("5m", 60), ("15m", 60), ("30m", 60)])
def test_of_a_window_that_reaches_too_far_back_only_the_rest_is_asked_and_spoken_for(name: str, days: int) -> None:
    bar = timeframe(name)
    window = Interval(bar.floor(NOW_MS - (days + 3) * DAY_MS), bar.floor(NOW_MS - (days - 1) * DAY_MS))
    with yahoo() as bench:
        answer = client_at_now(bench.access()).bars("AAPL", bar, window)
    oldest_ms = VENUE.oldest_open_ms(bar.step_ms, NOW_MS)
    assert answer.covers == Interval(oldest_ms, window.end)
    assert NOW_MS - days * DAY_MS < oldest_ms <= min(row.open_ms for row in answer.bars)


def test_a_window_out_of_reach_costs_no_request_and_says_nothing() -> None:
    start_ms = THIS_MINUTE_MS - 20 * DAY_MS
    with yahoo() as bench:
        answer = client_at_now(bench.access()).bars("AAPL", MINUTE, Interval(start_ms, start_ms + DAY_MS))
        assert bench.exchange.requests.total == 0
    assert (answer.bars, answer.covers) == ([], Interval(start_ms + DAY_MS, start_ms + DAY_MS))


def test_what_yahoo_refuses_is_an_error_with_its_words() -> None:
    start_ms = THIS_MINUTE_MS - 20 * DAY_MS
    with yahoo() as bench:
        ahead = YahooClient(bench.access(), clock=lambda: start_ms / 1000)
        with pytest.raises(RequestRefused, match="within the last 7 days"):
            ahead.bars("AAPL", MINUTE, Interval(start_ms - DAY_MS, start_ms))


def test_days_are_unbounded_and_stand_at_midnight_of_their_date() -> None:
    end_ms = DAY.floor(NOW_MS)
    with yahoo() as bench:
        answer = client_at_now(bench.access()).bars("AAPL", DAY, Interval(end_ms - 400 * DAY_MS, end_ms))
    assert [bar.open_ms for bar in answer.bars] == list(range(end_ms - 400 * DAY_MS, end_ms, DAY_MS))


@pytest.mark.parametrize(
    "meta", [{"symbol": "MSFT"}, {"dataGranularity": "1d"}, {"exchangeTimezoneName": "Mars/Olympus"}, {}]
)
def test_a_chart_of_something_else_is_no_answer(meta: dict[str, str]) -> None:
    from backfill.exchanges.yahoo import _chart

    sound = {"symbol": "AAPL", "dataGranularity": "1m", "exchangeTimezoneName": "America/New_York"}
    told = {**sound, **meta} if meta else {}
    with pytest.raises(BadPayload):
        _chart({"chart": {"result": [{"meta": told, "indicators": {"quote": [{}]}}]}}, "AAPL", MINUTE)


def test_names_of_stocks_are_those_in_dollars() -> None:
    named = {name: american_stock(name) for name in ("AAPL", "BRK.B", "VOD.L", "EUR_USD", "BTC-USDT")}
    assert {name: found and found.venue_symbol for name, found in named.items()} == {
        "AAPL": "AAPL",
        "BRK.B": "BRK-B",
        "VOD.L": None,
        "EUR_USD": None,
        "BTC-USDT": None,
    }


def test_hours_are_not_asked_for_since_theirs_begin_at_half_past() -> None:
    assert not VENUE.serves("1h")

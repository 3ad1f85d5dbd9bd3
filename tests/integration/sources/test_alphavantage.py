"""Alpha Vantage after its documentation: the kit, and what is its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import DAY_MS, timeframe
from backfill.errors import RateLimited, RequestRefused
from backfill.exchanges.alphavantage_client import SOURCE, AlphaVantageClient, stock
from backfill.exchanges.source_contract import SourceAccess
from backfill.paper.alphavantage_protocol import AlphaVantageProtocol
from backfill.paper.market import PaperMarket
from backfill.paper.protocol import ExchangeProtocol
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.testing.source_contract import KEY, NOW_MS, Bench, SourceContract
from integration.sources.assets import asset

WRONG = "another-key"
DAY, WEEK = timeframe("1d"), timeframe("1w")
TODAY_MS = DAY.floor(NOW_MS)
APPLE = asset("AAPL", "0.01", 228.5, listed_ms=TODAY_MS - 300 * DAY_MS)
WINDOW = Interval(TODAY_MS - 30 * DAY_MS, TODAY_MS)


def protocol() -> ExchangeProtocol:
    return AlphaVantageProtocol(KEY, premium=True)


class TestAlphaVantage(SourceContract):
    registered = SOURCE
    protocol: Callable[[], ExchangeProtocol] = staticmethod(protocol)
    symbol = "AAPL"
    timeframe = "1d"
    unlisted = "NOSUCH"

    def market(self) -> PaperMarket:
        return SyntheticMarket(coins=[APPLE])


def free(bench: Bench, *, key: str = KEY) -> AlphaVantageClient:
    return AlphaVantageClient(bench.access(api_secret=key), clock=lambda: NOW_MS / 1000)


@pytest.fixture
def bench():
    protocol = AlphaVantageProtocol(KEY)
    market = SyntheticMarket(coins=[APPLE])
    with PaperExchange(market, protocol, clock=lambda: NOW_MS) as exchange, requests.Session() as session:
        yield Bench(exchange, session)


def test_the_newest_hundred_days_come_without_payment(bench: Bench) -> None:
    bars = free(bench).bars("AAPL", DAY, Interval(TODAY_MS - 99 * DAY_MS, TODAY_MS)).bars
    assert sorted(bar.open_ms for bar in bars) == list(range(TODAY_MS - 99 * DAY_MS, TODAY_MS, DAY_MS))


def test_of_a_longer_window_only_the_newest_hundred_days_are_spoken_for(bench: Bench) -> None:
    window = Interval(TODAY_MS - 140 * DAY_MS, TODAY_MS + DAY_MS)
    answer = free(bench).bars("AAPL", DAY, window)
    assert answer.covers == Interval(TODAY_MS - 99 * DAY_MS, window.end)
    assert bench.exchange.requests.total == 1


def test_what_must_be_paid_for_is_refused_and_is_no_limit(bench: Bench) -> None:
    with pytest.raises(RequestRefused, match="paid key"):
        free(bench).bars("AAPL", DAY, Interval(TODAY_MS - 130 * DAY_MS, TODAY_MS - 120 * DAY_MS))
    assert bench.limits == []


def test_the_row_asks_for_nothing_that_must_be_paid_for() -> None:
    assert SOURCE.venue.oldest_open_ms(DAY_MS, NOW_MS) == TODAY_MS - 100 * DAY_MS


@pytest.mark.parametrize("field", ["Information", "Note"])
@pytest.mark.parametrize(
    ("text", "wait_s"),
    [("the free key rate limit (25 requests per day)", 3600), ("1 request per second", 2), ("new words", 60)],
)
def test_a_text_instead_of_data_is_a_limit_and_never_an_empty_answer(field: str, text: str, wait_s: float) -> None:
    client = AlphaVantageClient(SourceAccess(session=requests.Session(), api_secret=KEY))
    error = client.error_in(200, {field: f"Thank you! {text}; {KEY}"}, "/query")
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == wait_s
    assert KEY not in str(error)


def test_the_quota_of_a_day_is_an_error_at_its_26th_request(bench: Bench) -> None:
    moments = iter(range(NOW_MS, NOW_MS + 10**9, 2000))
    bench.exchange.clock = lambda: next(moments)
    client = free(bench)
    for _ in range(25):
        assert client.bars("AAPL", DAY, WINDOW).bars
    with pytest.raises(RateLimited, match="25 requests per day"):
        client.bars("AAPL", DAY, WINDOW)
    assert [error.retry_after_s for error in bench.limits] == [3600]


def test_a_refused_key_is_an_error_that_does_not_show_it(bench: Bench) -> None:
    with pytest.raises(RequestRefused, match="key is refused") as raised:
        free(bench, key=WRONG).bars("AAPL", DAY, WINDOW)
    assert WRONG not in str(raised.value)


def test_a_week_dated_by_its_last_day_opens_on_monday(bench: Bench) -> None:
    monday_ms = WEEK.floor(NOW_MS) - WEEK.step_ms
    bars = free(bench).bars("AAPL", WEEK, Interval(monday_ms - WEEK.step_ms, monday_ms + WEEK.step_ms)).bars
    assert [bar.open_ms for bar in bars] == [monday_ms, monday_ms - WEEK.step_ms]


def test_stocks_are_known_by_their_ticker() -> None:
    found = stock("BRK.B")
    assert found is not None
    assert (found.venue_symbol, found.base, found.quote, found.is_spot) == ("BRK.B", "BRK.B", "USD", False)
    assert [stock(name) for name in ("BTC-USDT", "EUR_USD", "aapl", "A&apikey=x")] == [None] * 4

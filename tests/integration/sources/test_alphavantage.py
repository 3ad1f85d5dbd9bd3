"""Alpha Vantage on paper: the kit, sentences instead of errors, and one answer for all pages."""

from __future__ import annotations

from typing import Any

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import DAY_MS, TIMEFRAMES
from backfill.errors import RateLimited, RequestRefused
from backfill.exchanges.alphavantage import SOURCE, AlphaVantageClient
from backfill.paper.alphavantage_protocol import AlphaVantageProtocol
from backfill.paper.coins import STOCKS_AND_CURRENCIES
from backfill.paper.market import PaperMarket
from backfill.paper.protocol import Answer, json_answer
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources.candle_source import CandleSource
from backfill.testing.source_contract import KEY, NOW_MS, StockSourceContract

MARKET = SyntheticMarket(coins=STOCKS_AND_CURRENCIES)
DAY = TIMEFRAMES["1d"]
FULL = {"outputsize": "full"}
TODAY_MS = NOW_MS - NOW_MS % DAY_MS


class TestStock(StockSourceContract):
    registered = SOURCE
    protocol = AlphaVantageProtocol
    symbol = "AAPL"
    unlisted = "NOSUCH"
    timeframe = "1d"

    def market(self) -> PaperMarket:
        return MARKET

    def open_source(self, *args: Any, **access: Any) -> CandleSource:
        return super().open_source(*args, options=FULL, **access)


def test_a_whole_history_takes_one_request_after_the_newest_page() -> None:
    with TestStock().bench_at() as bench:
        client = SOURCE.open(bench.access(options=FULL))
        for page in range(8):
            end_ms = TODAY_MS - 90 * page * DAY_MS
            answer = client.bars("AAPL", DAY, Interval(end_ms - 90 * DAY_MS, end_ms))
            assert len(answer.bars) == 90
        assert bench.exchange.requests.total == 2


def test_pairs_have_no_volume() -> None:
    with TestStock().bench_at() as bench:
        answer = SOURCE.open(bench.access()).bars("EUR_USD", DAY, Interval(TODAY_MS - 9 * DAY_MS, TODAY_MS))
    assert (len(answer.bars), answer.has_volume) == (9, False)


def test_what_the_plan_lacks_is_refused_and_pauses_nothing() -> None:
    class Free(TestStock):
        protocol = staticmethod(lambda: AlphaVantageProtocol(has_full=False))

    with Free().bench_at() as bench:
        client = SOURCE.open(bench.access(options=FULL))
        assert client.bars("AAPL", DAY, Interval(TODAY_MS - 90 * DAY_MS, TODAY_MS)).bars
        with pytest.raises(RequestRefused, match="not in the plan"):
            client.bars("AAPL", DAY, Interval(TODAY_MS - 180 * DAY_MS, TODAY_MS - 90 * DAY_MS))
        with pytest.raises(RequestRefused, match="not in the plan"):
            client.bars("AAPL", DAY, Interval(TODAY_MS - 270 * DAY_MS, TODAY_MS - 180 * DAY_MS))
        assert bench.exchange.requests.total == 2, "what is refused once is not asked for again"
        assert bench.limits == []


def test_a_free_key_reaches_a_hundred_days_and_spends_nothing_on_older_ones() -> None:
    class Free(TestStock):
        protocol = staticmethod(lambda: AlphaVantageProtocol(has_full=False))

    with Free().bench_at() as bench:
        client = AlphaVantageClient(bench.access(), clock=lambda: NOW_MS / 1000)
        assert client.serves_from_ms(DAY) == TODAY_MS - 140 * DAY_MS
        assert AlphaVantageClient(bench.access(options=FULL)).serves_from_ms(DAY) is None
        answer = client.bars("AAPL", DAY, Interval(TODAY_MS - 120 * DAY_MS, TODAY_MS - 30 * DAY_MS))
        # Its answer speaks for the days that it has, today's among the hundred.
        assert answer.covers == Interval(TODAY_MS - 99 * DAY_MS, TODAY_MS - 30 * DAY_MS)
        assert len(answer.bars) == 69
        with pytest.raises(RequestRefused, match="a free plan has the newest 100 days"):
            client.bars("AAPL", DAY, Interval(TODAY_MS - 210 * DAY_MS, TODAY_MS - 120 * DAY_MS))
        assert bench.exchange.requests.total == 1


def test_a_used_up_quota_is_a_limit_though_its_sentence_advertises_what_must_be_paid_for() -> None:
    """As beancount/beanprice #124 has it."""
    said = (
        "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly. You "
        "may subscribe to any of the premium plans to lift the free key rate limit (25 requests per day) and instantly "
        "unlock all premium endpoints"
    )
    with TestStock().bench_at() as bench:
        error = SOURCE.open(bench.access()).error_in(200, {"Information": said}, "/query")  # type: ignore[attr-defined]
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 3600


@pytest.mark.parametrize("name", ["Information", "Note"])
def test_a_sentence_about_limits_is_a_limit_whatever_its_name(name: str) -> None:
    class Spent(AlphaVantageProtocol):
        def answer(self, *_: Any) -> Answer:
            said = f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day."
            return json_answer({name: said})

    class Kit(TestStock):
        protocol = Spent

    with Kit().bench_at() as bench, pytest.raises(RateLimited) as raised:
        SOURCE.open(bench.access()).bars("AAPL", DAY, Interval(TODAY_MS - 9 * DAY_MS, TODAY_MS))
    assert raised.value.retry_after_s == 3600
    assert KEY not in str(raised.value)

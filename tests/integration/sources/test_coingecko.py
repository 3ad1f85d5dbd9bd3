"""CoinGecko after its documentation: the kit, and what is its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import DAY_MS, HOUR_MS, timeframe
from backfill.errors import RateLimited, RequestRefused
from backfill.exchanges.coingecko import VENUE, CoinGeckoClient, coin
from backfill.exchanges.source_contract import RegisteredSource, SourceAccess
from backfill.paper.coingecko_protocol import CoinGeckoProtocol
from backfill.paper.coins import Coin
from backfill.paper.limits import NO_LIMITS
from backfill.paper.market import PaperMarket
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.testing.source_contract import KEY, NOW_MS, Bench, SourceContract
from integration.sources.assets import asset

LONG = timeframe("4h")
NOW_BAR_MS = LONG.floor(NOW_MS)


def coin_listed(days: int) -> Coin:
    return asset("BTC-USDT", "0.1", 95_000, listed_ms=NOW_MS - days * DAY_MS)


def client_at_now(access: SourceAccess) -> CoinGeckoClient:
    return CoinGeckoClient(access, clock=lambda: NOW_MS / 1000)


class TestCoinGecko(SourceContract):
    registered = RegisteredSource(VENUE, client_at_now)
    protocol = CoinGeckoProtocol
    timeframe = "4h"
    unlisted = "no-such-coin"

    def market(self) -> PaperMarket:
        return SyntheticMarket(coins=[coin_listed(18)])


@pytest.fixture
def bench() -> Iterator[Bench]:
    market = SyntheticMarket(coins=[coin_listed(90)])
    with (
        PaperExchange(market, CoinGeckoProtocol(), limits=NO_LIMITS, clock=lambda: NOW_MS) as exchange,
        requests.Session() as session,
    ):
        yield Bench(exchange, session)


def test_a_bar_is_dated_by_its_end_and_opens_before(bench: Bench) -> None:
    window = Interval(NOW_BAR_MS - 10 * LONG.step_ms, NOW_BAR_MS)
    bars = client_at_now(bench.access()).bars("bitcoin", LONG, window).bars
    true = bench.exchange.market.candles("BTC-USDT", "4h", window.start, window.end, NOW_MS)
    assert [(bar.open_ms, bar.close) for bar in bars] == [(row["open_ms"], row["close"]) for row in true]


@pytest.mark.parametrize("days", [3, 10, 20])
def test_days_are_asked_so_that_bars_have_the_length_wanted(bench: Bench, days: int) -> None:
    start_ms = NOW_BAR_MS - days * DAY_MS
    bars = client_at_now(bench.access()).bars("bitcoin", LONG, Interval(start_ms, NOW_BAR_MS)).bars
    assert [bar.open_ms for bar in bars] == list(range(start_ms, NOW_BAR_MS, LONG.step_ms))


def test_what_may_still_come_is_not_decided(bench: Bench) -> None:
    answer = client_at_now(bench.access()).bars("bitcoin", LONG, Interval(NOW_BAR_MS - DAY_MS, NOW_BAR_MS))
    assert answer.decided_ms == LONG.floor(NOW_MS - HOUR_MS - LONG.step_ms)


def test_older_bars_than_it_has_in_that_length_are_not_spoken_for(bench: Bench) -> None:
    half = timeframe("30m")
    end_ms = half.floor(NOW_MS)
    answer = client_at_now(bench.access()).bars("bitcoin", half, Interval(end_ms - 3 * DAY_MS, end_ms))
    assert answer.covers == Interval(end_ms - 19 * HOUR_MS, end_ms)
    assert bench.exchange.requests.total == 1


def test_its_candles_are_never_stored() -> None:
    assert not VENUE.may_fill("4h")


def test_a_limit_in_the_body_is_a_limit_and_a_refused_key_an_error() -> None:
    client = CoinGeckoClient(SourceAccess(session=requests.Session(), api_secret=KEY))
    told = {"status": {"error_code": 429, "error_message": "exceeded"}}
    assert isinstance(client.error_in(200, told, "/x"), RateLimited)
    told = {"error": {"status": {"error_code": 10012, "error_message": f"exceeds the allowed range {KEY}"}}}
    refused = client.error_in(401, told, "/x")
    assert isinstance(refused, RequestRefused)
    assert KEY not in str(refused)
    assert client.error_in(200, [], "/x") is None


def test_only_coins_whose_id_is_known_have_a_market() -> None:
    found = coin("1000BONK-USDT"), coin("BTC-USDT"), coin("BTC-EUR"), coin("AAPL"), coin("EUR_USD")
    assert [market and (market.venue_symbol, market.is_spot) for market in found] == [
        None,
        ("bitcoin", False),
        None,
        None,
        None,
    ]

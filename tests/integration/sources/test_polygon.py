"""Polygon on paper: the kit for a stock and a coin, pages that go on, delayed plans, plans that end."""

from __future__ import annotations

from typing import Any

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import MINUTE_MS, TIMEFRAMES
from backfill.errors import BadPayload, RequestRefused
from backfill.exchanges.polygon import POLYGON, SOURCE
from backfill.paper.coins import LIQUID_COINS, STOCKS_AND_CURRENCIES
from backfill.paper.market import PaperMarket
from backfill.paper.polygon_protocol import PolygonProtocol
from backfill.paper.protocol import Answer, json_answer
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.testing.source_contract import NOW_MS, SourceContract, StockSourceContract

MARKET = SyntheticMarket(coins=[*STOCKS_AND_CURRENCIES, LIQUID_COINS[0]], quiet_share=0.3, quiet_bars="absent")
END_MS = NOW_MS - NOW_MS % MINUTE_MS - 30 * MINUTE_MS
MINUTE = TIMEFRAMES["1m"]


class TestStock(StockSourceContract):
    registered = SOURCE
    protocol = PolygonProtocol
    symbol = "AAPL"
    unlisted = "NOSUCH"

    def market(self) -> PaperMarket:
        return SyntheticMarket(coins=STOCKS_AND_CURRENCIES)


class TestCoin(SourceContract):
    registered = SOURCE
    protocol = PolygonProtocol
    unlisted = "X:NOSUCHUSD"


class Paper(SourceContract):
    """The kit's ways to open a source, for the tests below."""

    registered = SOURCE
    protocol = PolygonProtocol
    symbol = "AAPL"

    def market(self) -> PaperMarket:
        return MARKET


PAPER = Paper()


def bars(protocol: PolygonProtocol, window: Interval, symbol: str = "AAPL", **access: Any) -> tuple[Any, int]:
    class Given(Paper):
        pass

    Given.protocol = staticmethod(lambda: protocol)  # type: ignore[assignment]
    with Given().bench_at() as bench:
        if protocol._next_host == "self":
            protocol._next_host = bench.exchange.url
        client = SOURCE.open(bench.access(**access))
        return client.bars(symbol, MINUTE, window), bench.exchange.requests.total


@pytest.mark.parametrize(
    ("name", "ticker"),
    [("AAPL", "AAPL"), ("EUR_USD", "C:EURUSD"), ("BTC-USDT", "X:BTCUSD"), ("1000PEPE-USDT", "X:PEPEUSD")],
)
def test_our_names_are_its_tickers(name: str, ticker: str) -> None:
    assert POLYGON.market_named is not None
    market = POLYGON.market_named(name)
    assert market is not None
    assert (market.venue_symbol, market.is_spot) == (ticker, ticker.startswith("X:"))


def test_pages_go_on_where_the_answer_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.paper.polygon_protocol.MOST_BASE_BARS", 100_000)
    monkeypatch.setattr("backfill.exchanges.polygon.MOST_BASE_BARS", 500)
    window = Interval(END_MS - 1200 * MINUTE_MS, END_MS)
    answer, asked = bars(PolygonProtocol(next_host="self"), window)
    true = MARKET.candles("AAPL", "1m", window.start, window.end)
    assert [bar.open_ms for bar in answer.bars] == true["open_ms"].tolist()
    assert asked == -(-len(true) // 500)


def test_it_is_not_led_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backfill.exchanges.polygon.MOST_BASE_BARS", 500)
    window = Interval(END_MS - 1200 * MINUTE_MS, END_MS)
    with pytest.raises(BadPayload, match="another host"):
        bars(PolygonProtocol(next_host="http://elsewhere.example"), window)


def test_what_a_delayed_plan_lacks_is_not_silence() -> None:
    window = Interval(END_MS - 200 * MINUTE_MS, END_MS + 30 * MINUTE_MS)
    answer, _ = bars(PolygonProtocol(delayed=True), window)
    newest = max(bar.open_ms for bar in answer.bars)
    assert answer.decided_ms == newest + MINUTE_MS
    assert bars(PolygonProtocol(), window)[0].decided_ms is None


def test_a_currencys_count_of_prices_is_no_volume() -> None:
    answer, _ = bars(PolygonProtocol(), Interval(END_MS - 20 * MINUTE_MS, END_MS), "C:EURUSD")
    assert answer.bars
    assert not answer.has_volume
    assert {bar.volume for bar in answer.bars} == {None}


class BeyondThePlan(PolygonProtocol):
    def answer(self, *_: Any) -> Answer:
        message = (
            "Your plan doesn't include this data timeframe. Please upgrade your plan at https://polygon.io/pricing"
        )
        return json_answer({"status": "NOT_AUTHORIZED", "request_id": "paper", "message": message}, 403)


def test_beyond_its_plan_it_is_refused_and_no_address_is_banned() -> None:
    with pytest.raises(RequestRefused, match="plan"):
        bars(BeyondThePlan(), Interval(END_MS - 20 * MINUTE_MS, END_MS))


def test_splits_are_in_its_prices_only_if_the_class_wants_them_so() -> None:
    window = Interval(END_MS - 20 * MINUTE_MS, END_MS)
    asked: list[str] = []

    class Listening(PolygonProtocol):
        def answer(self, market: Any, method: str, path: str, query: Any, now_ms: int) -> Answer:
            asked.append(query.get("adjusted", ""))
            return super().answer(market, method, path, query, now_ms)

    bars(Listening(), window)
    bars(Listening(), window, splits="raw")
    bars(Listening(), window, splits="adjusted")
    assert asked == ["false", "false", "true"]

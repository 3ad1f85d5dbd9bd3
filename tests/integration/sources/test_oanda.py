"""OANDA on paper: the kit, sides of the price, hosts, tokens, and weekends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import DAY_MS, HOUR_MS, MINUTE_MS, TIMEFRAMES
from backfill.errors import ConfigurationError, RequestRefused
from backfill.exchanges.oanda import HOSTS, OANDA, SOURCE
from backfill.paper.coins import STOCKS_AND_CURRENCIES
from backfill.paper.given_market import GivenMarket
from backfill.paper.market import PaperMarket
from backfill.paper.oanda_protocol import OandaProtocol
from backfill.paper.protocol import Answer, json_answer
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.sources.candle_source import silent_in
from backfill.testing.source_contract import NOW_MS, SourceContract

MARKET = SyntheticMarket(coins=STOCKS_AND_CURRENCIES)
END_MS = NOW_MS - NOW_MS % MINUTE_MS - 30 * MINUTE_MS
MINUTE = TIMEFRAMES["1m"]
# 2026-03-06T22:00Z, a Friday, to 2026-03-08T21:00Z: the daylight saving of New York begins in it.
WEEKEND = Interval(1_772_834_400_000, 1_773_003_600_000)


class TestPair(SourceContract):
    registered = SOURCE
    protocol = OandaProtocol
    symbol = "EUR_USD"
    unlisted = "NOS_UCH"

    def market(self) -> PaperMarket:
        return MARKET


def bars(kit: SourceContract, window: Interval, **access: Any) -> Any:
    with kit.bench_at() as bench:
        return SOURCE.open(bench.access(**access)).bars("EUR_USD", MINUTE, window)


def test_bid_and_ask_stand_on_both_sides_of_mid() -> None:
    window = Interval(END_MS - 50 * MINUTE_MS, END_MS)
    bid, mid, ask = ([float(bar.close) for bar in bars(TestPair(), window, options={"price": side}).bars]
                     for side in ("bid", "mid", "ask"))  # fmt: skip
    assert len(mid) == 50
    assert all(low < middle < high for low, middle, high in zip(bid, mid, ask, strict=True))


def test_practice_is_its_host_unless_the_connection_says_live() -> None:
    with TestPair().bench_at() as bench:
        for options, host in (({}, "practice"), ({"environment": "live"}, "live")):
            client = SOURCE.open(bench.access(options=options))
            assert type(client).__name__ == "OandaClient"
            assert client.public_url == HOSTS[host]  # type: ignore[attr-defined]
        with pytest.raises(ConfigurationError, match=r"extra\.options\.environment is one of practice, live"):
            SOURCE.open(bench.access(options={"environment": "demo"}))


class WrongToken(OandaProtocol):
    def answer(self, *_: Any) -> Answer:
        return json_answer({"errorMessage": "Insufficient authorization to perform request."}, 401)


def test_a_wrong_token_is_refused_with_the_likely_cause() -> None:
    class Wrong(TestPair):
        protocol = WrongToken

    with pytest.raises(RequestRefused, match="practice is none of live"):
        bars(Wrong(), Interval(END_MS - 5 * MINUTE_MS, END_MS))


class Closed(TestPair):
    """The weekend has no bars."""

    def market(self) -> PaperMarket:
        true = MARKET.candles("EUR_USD", "1m", WEEKEND.start - DAY_MS, WEEKEND.end + DAY_MS)
        is_open = (true["open_ms"] < WEEKEND.start) | (true["open_ms"] >= WEEKEND.end)
        return GivenMarket({("EUR_USD", "1m"): true[is_open]})


def test_a_row_at_a_time_beyond_the_window_is_no_silence_of_its_bar() -> None:
    """Left out, its bar would be taken for absent."""
    kit = TestPair()
    with kit.bench_at() as bench, kit.source(bench) as source:
        bench.exchange.faults.on("moved", by="+20m", opens_ms=[END_MS - 5 * MINUTE_MS], requests=1)
        page = source.ask("EUR_USD", MINUTE, END_MS)
    assert [row.rule for row in page.broken] == ["open_time_was_not_asked_for"]
    assert not page.is_clean


@pytest.mark.parametrize("value", ["text", "null", "negative"])
def test_a_price_that_is_none_is_refused_as_a_row(value: str) -> None:
    kit = TestPair()
    with kit.bench_at() as bench, kit.source(bench) as source:
        bench.exchange.faults.on("garbled", value=value, opens_ms=[END_MS - 5 * MINUTE_MS], requests=1)
        page = source.ask("EUR_USD", MINUTE, END_MS)
    assert [row.open_ms for row in page.broken] == [END_MS - 5 * MINUTE_MS]
    assert len(page.rows) == len(page.candles) + 1


def test_a_weekend_is_silence_of_exactly_its_length() -> None:
    """A page that is asked by its ends does not reach beyond them."""
    kit = Closed()
    with kit.bench_at() as bench, kit.source(bench, rows=None) as source:
        page = source.ask("EUR_USD", MINUTE, WEEKEND.end + HOUR_MS)
    assert page.is_clean
    assert not page.broken
    assert page.covers is not None
    silent = silent_in(page, page.covers, MINUTE)
    assert WEEKEND in silent
    assert int(page.candles["open_ms"].max()) == WEEKEND.end + HOUR_MS - MINUTE_MS
    assert np.isnan(page.candles["volume"]).all()


def test_only_pairs_of_currencies_are_its_instruments() -> None:
    assert OANDA.market_named is not None
    assert OANDA.market_named("EUR_USD") is not None
    assert OANDA.market_named("AAPL") is OANDA.market_named("BTC-USDT") is None

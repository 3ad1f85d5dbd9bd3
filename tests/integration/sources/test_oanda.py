"""OANDA after its documentation: the kit, and what is its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import timeframe
from backfill.errors import ConfigurationError, RequestRefused
from backfill.exchanges.oanda_client import HOSTS, SOURCE, OandaClient, pair
from backfill.exchanges.source_contract import SourceAccess
from backfill.paper.market import PaperMarket
from backfill.paper.oanda_protocol import OandaProtocol
from backfill.paper.protocol import ExchangeProtocol
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.testing.source_contract import KEY, NOW_MS, Bench, SourceContract
from integration.sources.assets import EUR_USD

WRONG = "another-token"
MINUTE = timeframe("1m")
WINDOW = Interval(MINUTE.floor(NOW_MS) - 100 * 60_000, MINUTE.floor(NOW_MS) - 90 * 60_000)


def protocol() -> ExchangeProtocol:
    return OandaProtocol(token=KEY)


class TestOanda(SourceContract):
    registered = SOURCE
    protocol: Callable[[], ExchangeProtocol] = staticmethod(protocol)
    symbol = "EUR_USD"
    unlisted = "NOS_UCH"

    def market(self) -> PaperMarket:
        return SyntheticMarket(coins=[EUR_USD])

    @pytest.mark.parametrize(("price", "steps"), [("mid", 0), ("bid", -1), ("ask", 1)])
    def test_prices_are_those_of_the_option(self, bench: Bench, price: str, steps: int) -> None:
        bars = OandaClient(bench.access(options={"price": price})).bars("EUR_USD", MINUTE, WINDOW).bars
        true = bench.exchange.market.candles("EUR_USD", "1m", WINDOW.start, WINDOW.end, NOW_MS)
        assert [float(bar.close) for bar in bars] == pytest.approx((true["close"] + steps * 0.00001).tolist(), abs=1e-9)

    def test_the_running_bar_is_marked_as_such(self, bench: Bench) -> None:
        running_ms = MINUTE.floor(NOW_MS)
        answer = OandaClient(bench.access()).bars("EUR_USD", MINUTE, Interval(running_ms - 60_000, running_ms + 60_000))
        assert [bar.closed for bar in answer.bars][:1] == [True]

    def test_a_refused_token_is_an_error_that_does_not_show_it(self, bench: Bench) -> None:
        client = OandaClient(bench.access(api_secret=WRONG))
        with pytest.raises(RequestRefused, match="token is refused") as raised:
            client.bars("EUR_USD", MINUTE, WINDOW)
        assert WRONG not in str(raised.value)

    def test_the_bar_after_the_window_is_not_asked_for(self, bench: Bench) -> None:
        bars = OandaClient(bench.access()).bars("EUR_USD", MINUTE, WINDOW).bars
        assert [bar.open_ms for bar in bars] == list(range(WINDOW.start, WINDOW.end, 60_000))

    def test_a_page_fault_of_the_paper_server_reaches_the_rules(self, bench: Bench) -> None:
        bench.exchange.faults.on("garbled", value="text", requests=1)
        with self.source(bench) as source:
            page = self.ask(source, WINDOW.end)
        assert [row.rule for row in page.broken] == ["field_is_malformed"]
        bench.exchange.faults.on("moved", by="-17s", requests=1)
        with self.source(bench) as source:
            page = self.ask(source, WINDOW.end)
        assert [row.rule for row in page.broken] == ["open_time_is_off_the_grid"]


class Recorder(requests.Session):
    """Answers with one bar of another instrument, and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get(self, url: Any, **_: Any) -> Any:
        self.asked.append(url)
        raise requests.ConnectionError("nobody there")


@pytest.mark.parametrize("environment", HOSTS)
def test_practice_and_live_are_two_hosts(environment: str) -> None:
    session = Recorder()
    access = SourceAccess(session=session, api_secret=KEY, options={"environment": environment}, tries=1)
    with pytest.raises(Exception, match="nobody there"):
        OandaClient(access).bars("EUR_USD", MINUTE, WINDOW)
    assert session.asked == [f"{HOSTS[environment]}/v3/instruments/EUR_USD/candles"]


def test_other_options_are_refused_before_anything_is_asked() -> None:
    with pytest.raises(ConfigurationError, match="price is mid, bid, ask"):
        OandaClient(SourceAccess(session=requests.Session(), options={"price": "last"}))


def test_names_of_pairs_are_oandas_own() -> None:
    found = pair("EUR_USD")
    assert found is not None
    assert (found.venue_symbol, found.base, found.quote) == ("EUR_USD", "EUR", "USD")
    assert [pair(name) for name in ("BTC-USDT", "AAPL", "eur_usd", "EUR_USD/../x")] == [None] * 4


def test_a_bar_that_is_no_candle_is_handed_on_for_the_rules_to_refuse() -> None:
    client = OandaClient(SourceAccess(session=requests.Session()))
    assert client._bar({"time": "yesterday", "mid": None}).open_ms == "yesterday"
    assert client._bar(None).closed is False


def test_a_window_that_has_not_begun_costs_no_request() -> None:
    session = Recorder()
    client = OandaClient(SourceAccess(session=session, api_secret=KEY), clock=lambda: NOW_MS / 1000)
    start_ms = MINUTE.ceil(NOW_MS)
    assert client.bars("EUR_USD", MINUTE, Interval(start_ms, start_ms + 60_000)).bars == []
    assert session.asked == []

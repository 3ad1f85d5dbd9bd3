"""Yahoo's charts on paper: the kit, bars without trades, reach by timeframe, days by date."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import DAY_MS, MINUTE_MS, TIMEFRAMES
from backfill.errors import RequestRefused
from backfill.exchanges.yahoo import SOURCE, YAHOO, YahooClient
from backfill.paper.coins import STOCKS_AND_CURRENCIES
from backfill.paper.market import PaperMarket
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.yahoo_protocol import YahooProtocol
from backfill.testing.source_contract import NOW_MS, StockSourceContract

MARKET = SyntheticMarket(coins=STOCKS_AND_CURRENCIES, quiet_share=0.3, quiet_bars="absent")

# Listed within the reach of its minutes: before that there is nothing, further back an error.
apple = STOCKS_AND_CURRENCIES[0]
new_listing = replace(apple, instrument=replace(apple.instrument, listed_ms=NOW_MS - 3 * DAY_MS))


class TestStock(StockSourceContract):
    registered = SOURCE
    protocol = YahooProtocol
    symbol = "AAPL"
    unlisted = "NOSUCH"

    def market(self) -> PaperMarket:
        return SyntheticMarket(coins=[new_listing, *STOCKS_AND_CURRENCIES[1:]])


class Quiet(TestStock):
    def market(self) -> PaperMarket:
        return MARKET


def test_nulls_are_bars_without_trades() -> None:
    end_ms = NOW_MS - NOW_MS % MINUTE_MS - 30 * MINUTE_MS
    window = Interval(end_ms - 300 * MINUTE_MS, end_ms)
    with Quiet().bench_at() as bench:
        answer = SOURCE.open(bench.access()).bars("AAPL", TIMEFRAMES["1m"], window)
    true = MARKET.candles("AAPL", "1m", window.start, window.end)
    assert [bar.open_ms for bar in answer.bars] == true["open_ms"].tolist()
    assert 100 < len(answer.bars) < 300


@pytest.mark.parametrize(("name", "days"), [("1m", 7), ("5m", 60), ("30m", 60), ("1d", None)])
def test_it_is_asked_no_further_back_than_it_serves(name: str, days: int | None) -> None:
    oldest_ms = YAHOO.oldest_open_ms(TIMEFRAMES[name].step_ms, NOW_MS)
    if days is None:
        assert oldest_ms is None
    else:
        assert oldest_ms is not None
        assert 0 < oldest_ms - (NOW_MS - days * DAY_MS) <= 11 * TIMEFRAMES[name].step_ms


@pytest.mark.parametrize(("name", "days"), [("1m", 7), ("5m", 60), ("15m", 60), ("30m", 60)])
def test_of_a_page_that_begins_beyond_its_reach_the_rest_is_asked_and_spoken_for(name: str, days: int) -> None:
    """A full page back from now begins so."""
    bar = TIMEFRAMES[name]
    end_ms = bar.floor(NOW_MS)
    window = Interval(end_ms - max(YAHOO.rows(name), days * DAY_MS // bar.step_ms) * bar.step_ms, end_ms)
    with Quiet().bench_at() as bench:
        answer = YahooClient(bench.access(), clock=lambda: NOW_MS / 1000).bars("AAPL", bar, window)
    assert answer.covers == Interval(YAHOO.oldest_open_ms(bar.step_ms, NOW_MS), end_ms)
    assert answer.covers.start <= min(row.open_ms for row in answer.bars) < window.start + DAY_MS


@pytest.mark.parametrize(
    ("fault", "rule"),
    [({"name": "garbled", "value": "text"}, "field_is_malformed"), ({"name": "duplicated"}, None)],
)
def test_faults_of_pages_reach_the_rules(fault: dict[str, str], rule: str | None) -> None:
    kit = TestStock()
    with kit.bench_at() as bench, kit.source(bench) as source:
        bench.exchange.faults.on(fault.pop("name"), requests=1, **fault)
        page = kit.ask(source, NOW_MS - NOW_MS % MINUTE_MS - 30 * MINUTE_MS)
    assert [row.rule for row in page.broken] == ([rule] if rule else [])
    assert len(page.rows) == len(page.candles) + 1


def test_beyond_its_reach_is_an_error_and_not_silence() -> None:
    old_ms = NOW_MS - NOW_MS % DAY_MS - 90 * DAY_MS
    with TestStock().bench_at() as bench, pytest.raises(RequestRefused, match="within the last 30 days"):
        SOURCE.open(bench.access()).bars("AAPL", TIMEFRAMES["1m"], Interval(old_ms, old_ms + DAY_MS))


def test_days_of_pairs_are_not_asked_for() -> None:
    today_ms = NOW_MS - NOW_MS % DAY_MS
    with TestStock().bench_at() as bench:
        client = SOURCE.open(bench.access())
        with pytest.raises(RequestRefused, match="London"):
            client.bars("EURUSD=X", TIMEFRAMES["1d"], Interval(today_ms - 9 * DAY_MS, today_ms))
        minutes = client.bars("EURUSD=X", TIMEFRAMES["5m"], Interval(today_ms - DAY_MS, today_ms))
        assert bench.exchange.requests.total == 1
    assert minutes.bars
    assert not minutes.has_volume

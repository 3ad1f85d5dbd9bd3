"""What it costs to be sure of silence: a page of longer bars for a series, and no question once all is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from backfill.domain.intervals import Interval
from backfill.domain.page_plan import plan_pages
from backfill.domain.timeframes import TIMEFRAMES, timeframe
from backfill.paper.bars import grouped
from backfill.paper.given_market import GivenMarket
from backfill.paper.market import Candles
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import PaperBlofin, fill
from integration.helpers import wanted_series
from reference import MADE, REAL, Market, origins

SYMBOL = "BTC-USDT"
XRP_ETH = "binance__XRP-ETH__1m__unfilled"
ROWS_PER_PAGE = 1440
SETTLE_MS, LATE_MS = 30_000, 15 * 60_000


def traded(name: str, origin: str) -> Candles:
    """The bars of a file in which something traded, each once."""
    bars = Market(origin)(name)
    bars = bars[bars["base_volume"] > 0]
    return bars[np.unique(bars["open_ms"], return_index=True)[1]]


@contextmanager
def exchange_of(bars: Candles, name: str, *, has_longer: bool) -> Iterator[PaperBlofin]:
    given = {(SYMBOL, name): bars}
    if has_longer:
        instrument, step_ms = GivenMarket(given).instrument(SYMBOL), timeframe(name).step_ms
        for longer in TIMEFRAMES.values():
            if longer.step_ms > step_ms and longer.step_ms % step_ms == 0:
                given[SYMBOL, longer.name] = grouped(bars, longer, instrument)
    with PaperBlofin(
        GivenMarket(given), now_ms=int(bars["open_ms"][-1]) + timeframe(name).step_ms + LATE_MS
    ) as open_one:
        yield open_one


def want(store: CandleStore, bars: Candles, name: str) -> SeriesWindow:
    """The series from its first bar to its last."""
    start_ms, end_ms = int(bars["open_ms"][0]), int(bars["open_ms"][-1]) + timeframe(name).step_ms
    return wanted_series(store, SYMBOL, name, history_ms=end_ms - start_ms, now_ms=end_ms + SETTLE_MS)


def asked(exchange: PaperBlofin, store: CandleStore, window: SeriesWindow, runs: int = 3) -> list[tuple[int, int]]:
    """Pages of the series and of longer bars that each run has asked for."""
    counts = []
    for _ in range(runs):
        exchange.asked.clear()
        fill(store, exchange, window)
        bars = Counter(question.bar == window.timeframe for question in exchange.asked)
        counts.append((bars[True], bars[False]))
    return counts


def least_pages(window: SeriesWindow) -> int:
    return len(
        plan_pages([Interval(window.start_ms, window.end_ms)], timeframe(window.timeframe).step_ms, ROWS_PER_PAGE)
    )


def is_settled(store: CandleStore, window: SeriesWindow) -> bool:
    """Whether each bar is held, or absent with a grade to be believed."""
    doubtful = store.silences.of(window, store.source_id("blofin")).doubtful
    return not doubtful and store.open_work(window).missing_candles == 0


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        *((origin, XRP_ETH) for origin in origins("market")),
        *(
            (REAL, name)
            for name in ("bittrex__SNT-BTC__1m__20171108", "kucoin__BAX-USDT__5m")
            if REAL in origins("market")
        ),
    ],
)
def test_a_thin_market_costs_one_page_of_longer_bars_and_then_nothing(
    store: CandleStore, origin: str, name: str
) -> None:
    """The last longer bar is not over; what rests in it is asked again with the next new bars, here with none."""
    bars, of = traded(name, origin), name.split("__")[2]
    with exchange_of(bars, of, has_longer=True) as exchange:
        window = want(store, bars, of)
        first, second, third = asked(exchange, store, window)

    assert first == (least_pages(window), 1)
    assert second in [(0, 0), (1, 0)]
    assert third == (0, 0)
    assert is_settled(store, window)


def test_silence_at_a_start_within_the_history_is_settled_by_the_bars_before_it_on_the_same_page(
    store: CandleStore,
) -> None:
    bars, of = traded(XRP_ETH, MADE), "1m"
    quarter_ms = timeframe("15m").step_ms
    ends_a_rest = np.diff(bars["open_ms"], prepend=bars["open_ms"][0]) > timeframe(of).step_ms
    first = int(np.flatnonzero(ends_a_rest & (bars["open_ms"] % quarter_ms > 0))[300])
    with exchange_of(bars, of, has_longer=True) as exchange:
        window = want(store, bars[first - 1 :], of)
        (counts,) = asked(exchange, store, window, runs=1)

    doubtful = store.silences.of(window, store.source_id("blofin")).doubtful
    assert counts == (least_pages(window), 1)
    assert all(start >= window.end_ms // quarter_ms * quarter_ms for start, _ in doubtful)


def test_without_longer_bars_a_second_run_reads_the_silent_pages_once_more(store: CandleStore) -> None:
    """Two longer timeframes are tried, once a day."""
    bars, of = traded(XRP_ETH, MADE), "1m"
    with exchange_of(bars, of, has_longer=False) as exchange:
        window = want(store, bars, of)
        counts = asked(exchange, store, window)
        assert counts == [(least_pages(window), 2), (least_pages(window), 0), (0, 0)]
        assert is_settled(store, window)

    source_id = store.source_id("blofin")
    assert store.silences.lacking_timeframes(window, source_id) == {"5m"}, "the nearest"
    store.connection.execute("UPDATE backfill.findings SET last_seen_at = last_seen_at - interval '25 hours'")
    assert store.silences.lacking_timeframes(window, source_id) == set()

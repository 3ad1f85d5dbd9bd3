"""The faults and non-faults that ../shared/market/INDEX.md names, and nothing else in its files."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, difference, total_ms
from backfill.domain.suspicious_bars import flat_runs, page_edges, price_jumps
from backfill.domain.timeframes import timeframe
from reference import Market

pytestmark = pytest.mark.long

FLAT_BARS = {
    "binance__BTC-USDT-PERP__5m__20241001": 18,
    "binance__BTC-USDT-PERP__15m__20241001": 4,
    "binance__FIL-USDT-PERP__1m__202410": 89,
    "okx__XRP-USDT-PERP__5m": 209,
}
PAGE_EDGES = {"bybit__BTC-USDT__15m__20250616lostbars": 14, "bybit__BTC-USDT__5m__20251106lostbars": 4}


def step_of(name: str) -> int:
    """The length of a file's bars in ms, which its name says."""
    return timeframe(name.split("__")[2]).step_ms


@pytest.fixture(scope="module")
def every_file(market: Market) -> dict[str, pd.DataFrame]:
    return {name: market.frame(name) for name in market.names()}


def at(time: str) -> int:
    return int(pd.Timestamp(time, tz="UTC").timestamp() * 1000)


def test_flat_bars_are_found_in_markets_that_trade_and_in_no_thin_one(every_file):
    found = {name: flat_runs(candles, step_of(name)) for name, candles in every_file.items()}
    assert {name: total_ms(runs) // step_of(name) for name, runs in found.items() if runs} == FLAT_BARS
    fakes = [
        Interval(at("2024-10-28T16:25"), at("2024-10-28T16:35")),
        Interval(at("2024-10-28T20:00"), at("2024-10-28T21:10")),
    ]
    assert found["binance__BTC-USDT-PERP__5m__20241001"][:2] == fakes
    outage = Interval(at("2022-12-18T08:40"), at("2022-12-18T18:50"))  # 122 bars, and four more before it
    assert difference([outage], found["okx__XRP-USDT-PERP__5m"]) == []


def test_page_edges_are_found_where_a_downloader_dropped_them_and_nowhere_else(every_file):
    found = {}
    for name, candles in every_file.items():
        step_ms = step_of(name)
        held = bar_intervals(candles["open_ms"].to_numpy(), step_ms)
        edges = page_edges(difference([Interval(held[0].start, held[-1].end)], held), step_ms)
        if edges is not None:
            found[name] = (edges.every_bars, len(edges.missing))
    assert found == {name: (1000, count) for name, count in PAGE_EDGES.items()}


def test_no_real_bar_jumps(every_file):
    """Six move by more than the bound, but from the last close on."""
    jumps = Counter({name: len(price_jumps(candles, step_of(name))) for name, candles in every_file.items()})
    assert +jumps == Counter()

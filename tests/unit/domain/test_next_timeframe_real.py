"""What ../shared/market/INDEX.md says of real candles: which absent bars had no trade, and what adds up to what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, difference, total_ms
from backfill.domain.next_timeframe import TimeframeProof, is_silent, prove
from backfill.domain.timeframes import Timeframe, timeframe
from reference import MADE, REAL, Market


def span_of(candles: pd.DataFrame, bar: Timeframe) -> Interval:
    return Interval(int(candles["open_ms"].iloc[0]), int(candles["open_ms"].iloc[-1]) + bar.step_ms)


def proof_of(lower: pd.DataFrame, higher: pd.DataFrame, lower_name: str, higher_name: str) -> TimeframeProof:
    """What is not there counts as denied, as if the source had been asked."""
    short, long = timeframe(lower_name), timeframe(higher_name)
    both = Interval(
        max(span_of(lower, short).start, span_of(higher, long).start),
        min(span_of(lower, short).end, span_of(higher, long).end),
    )
    absent = difference([both], bar_intervals(lower["open_ms"].to_numpy(), short.step_ms))
    return prove(lower, higher, short, long, both, absent)


BINANCE, BYBIT = "binance__BTC-USDT-PERP__", "bybit__BTC-USDT-PERP__"
DOGE = "binance__DOGE-USDT-PERP__"


@pytest.mark.parametrize(
    ("lower", "higher", "longer_bars"),
    [
        (f"{BINANCE}5m__20251226", f"{BINANCE}15m__20251226", 3241),
        (f"{BINANCE}15m__20251226", f"{BINANCE}1h__20251226", 810),
        (f"{DOGE}5m__20251226", f"{DOGE}15m__20251226", 3220),
        (f"{DOGE}15m__20251226", f"{DOGE}1h__20251226", 804),
        (f"{BYBIT}15m", f"{BYBIT}1h", 18_444),
        (f"{BYBIT}15m", f"{BYBIT}4h", 4611),
        (f"{BYBIT}1h", f"{BYBIT}4h", 4611),
        (f"{BYBIT}4h", f"{BYBIT}1d", 749),
        ("binance__XRP-ETH__1m", "binance__XRP-ETH__5m", 712),  # silent minutes are there, and set no price
        ("kucoin__BAX-USDT__1m", "kucoin__BAX-USDT__5m", 8639),
    ],
)
def test_complete_bars_add_up_to_the_published_ones(market: Market, lower, higher, longer_bars):
    names = lower.split("__")[2], higher.split("__")[2]
    proof = proof_of(market.frame(lower), market.frame(higher), *names)
    assert total_ms(proof.equal) // timeframe(names[1]).step_ms == longer_bars
    assert (proof.no_trade, proof.lost, len(proof.differing)) == ([], [], 0)


def test_the_minutes_without_trade_that_a_source_leaves_out_are_proved_to_be_that(market: Market):
    proof = proof_of(
        market.frame("binance__XRP-ETH__1m__unfilled"),
        market.frame("binance__XRP-ETH__5m"),
        "1m",
        "5m",
    )
    assert total_ms(proof.no_trade) // 60_000 == 1091
    assert (proof.lost, len(proof.differing)) == ([], 0)


def test_the_minutes_that_a_store_had_filled_in_are_proved_to_be_without_trade(market: Market):
    minutes = market.frame("kucoin__BAX-USDT__1m")
    proof = proof_of(minutes[~is_silent(minutes)], market.frame("kucoin__BAX-USDT__5m"), "1m", "5m")
    assert total_ms(proof.no_trade) // 60_000 == 11_896
    assert (proof.lost, len(proof.differing)) == ([], 0)


@pytest.mark.parametrize("higher", ["1h", "4h"])
def test_every_real_bar_taken_out_is_lost(market: Market, higher):
    complete, published = market.frame(f"{BYBIT}15m"), market.frame(f"{BYBIT}{higher}")
    taken = np.random.default_rng(4).choice(len(complete) - 40, 300, replace=False) + 20
    proof = proof_of(complete.drop(index=taken), published, "15m", higher)
    assert total_ms(proof.lost) // 900_000 == 300
    assert (proof.no_trade, len(proof.differing)) == ([], 0)


def test_the_bars_that_a_downloader_dropped_at_page_edges_are_lost(market: Market):
    proof = proof_of(
        market.frame("bybit__BTC-USDT__5m__20251106lostbars"),
        market.frame("bybit__BTC-USDT__15m__20250616lostbars"),
        "5m",
        "15m",
    )
    assert total_ms(proof.lost) // 300_000 == 2  # the other two lie after the end of the 15m bars
    assert (proof.no_trade, len(proof.differing)) == ([], 0)


def test_a_flat_bar_written_while_others_traded_contradicts_the_published_one(market: Market):
    proof = proof_of(market.frame(f"{BINANCE}5m__20241001"), market.frame(f"{BINANCE}15m__20241001"), "5m", "15m")
    assert total_ms(proof.equal) // 900_000 == 13_672
    not_in_it = {MADE: 0.25, REAL: 0.3231}[market.origin]
    # 2025-01-29 01:30, whose first 5m bar is flat and without volume.
    assert proof.differing["open_ms"].unique().tolist() == [1_738_114_200_000]
    assert proof.differing.set_index("field")["difference"]["volume"] == pytest.approx(not_in_it, abs=1e-4)


def test_bars_of_spot_filed_as_the_perpetual_contradict_their_own_longer_bars(market: Market):
    proof = proof_of(market.frame(f"{BINANCE}15m__20241001"), market.frame(f"{BINANCE}1h__20241001"), "15m", "1h")
    assert proof.differing.groupby("field")["open_ms"].nunique()["volume"] == 2371
    # The newest 47 hours of the file are the perpetual's again.
    assert proof.equal == [Interval(1_739_876_400_000, 1_740_045_600_000)]
    assert (proof.no_trade, proof.lost) == ([], [])

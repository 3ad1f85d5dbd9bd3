"""What two real venues tell of one instrument agrees, but for bars that can be shown."""

from __future__ import annotations

import numpy as np
import pytest

from backfill.domain.agreement import BP, FLOAT_NOISE, Comparison, compare, votes
from backfill.domain.candle_columns import PRICES
from backfill.domain.timeframes import timeframe
from reference import Market
from unit.domain.candle_walks import changed

# The pairs of one class that ../shared/market/INDEX.md lists, compared at the coarser timeframe.
PAIRS = [
    ("binance__BTC-USDT-PERP__5m__20241001", "bybit__BTC-USDT-PERP__15m", "15m", 13_673),
    ("binance__BTC-USDT-PERP__15m__20241001", "bybit__BTC-USDT-PERP__15m", "15m", 13_673),
    ("binance__BTC-USDT-PERP__5m__20251226", "okx__BTC-USDT-PERP__1m", "5m", 4_415),
    ("bybit__ETH-USDT-PERP__15m", "binance__ETH-USDT-PERP__1m__20250504", "15m", 4_011),
    ("binance__BTC-USDT-PERP__5m__20241001", "bybit__BTC-USDT-PERP__1h", "1h", 3_418),
    ("binance__BTC-USDT-PERP__15m__20241001", "bybit__BTC-USDT-PERP__1h", "1h", 3_418),
    ("bybit__BTC-USDT-PERP__15m", "binance__BTC-USDT-PERP__1m__20250504", "15m", 2_879),
    ("binance__BTC-USDT-PERP__15m__20251226", "okx__BTC-USDT-PERP__1m", "15m", 1_471),
    ("bybit__BTC-USDT-PERP__15m", "binance__BTC-USDT-PERP__15m__20251226", "15m", 918),
    ("bybit__BTC-USDT-PERP__15m", "binance__BTC-USDT-PERP__5m__20251226", "15m", 918),
    ("bybit__BTC-USDT-PERP__1h", "binance__BTC-USDT-PERP__5m__20251226", "1h", 810),
    ("bybit__BTC-USDT-PERP__1h", "binance__BTC-USDT-PERP__15m__20251226", "1h", 810),
    ("bybit__BTC-USDT-PERP__1h", "binance__BTC-USDT-PERP__1h__20251226", "1h", 810),
    ("bybit__BTC-USDT-PERP__1h", "binance__BTC-USDT-PERP__1m__20250504", "1h", 719),
    ("binance__BTC-USDT-PERP__1h__20241001", "bybit__BTC-USDT__5m__20250101", "1h", 710),  # both are spot
    ("bybit__BTC-USDT-PERP__15m", "okx__BTC-USDT-PERP__1m", "15m", 433),
    ("bybit__BTC-USDT-PERP__1h", "okx__BTC-USDT-PERP__1m", "1h", 367),
    ("binance__BTC-USDT-PERP__1h__20251226", "okx__BTC-USDT-PERP__1m", "1h", 367),
]
# Binance's archive holds flat bars of no volume where other venues traded.
FAKE = "volume == 0 and high == low"


def compared(market: Market, stored: str, other: str, at: str, **options: float) -> Comparison:
    return compare(market.frame(stored, at), market.frame(other, at), step_ms=timeframe(at).step_ms, **options)


@pytest.mark.parametrize(("stored", "other", "at", "bars"), PAIRS)
def test_less_than_a_thousandth_of_the_real_bars_of_two_venues_disagrees(
    market: Market, stored: str, other: str, at: str, bars: int
) -> None:
    found = compared(market, stored, other, at)
    assert found.compared + len(found.silent) == bars
    fake = market.frame(stored, at).query(FAKE)["open_ms"]
    rows = found.disagreements[~found.disagreements["open_ms"].isin(fake)]
    assert rows["open_ms"].nunique() < bars / 1000
    # Two venues of one perpetual lie 2 to 6 bp apart at most, says the index, but for one bar in a hundred.
    assert (rows["difference"].abs() > 6 * BP).all()


def test_the_fake_bars_of_an_outage_are_silent_and_no_disagreement(market: Market) -> None:
    name, at = "binance__BTC-USDT-PERP__15m__20241001", "15m"
    found = compared(market, name, "bybit__BTC-USDT-PERP__15m", at)
    fake = market.frame(name, at).query(FAKE)["open_ms"]
    assert len(fake) == 4
    assert found.silent.tolist() == fake.tolist()
    assert not set(fake) & set(found.disagreements["open_ms"])


def test_a_third_venue_tells_who_is_wrong(market: Market) -> None:
    step_ms = timeframe("15m").step_ms
    binance = market.frame("binance__BTC-USDT-PERP__15m__20251226")
    okx, bybit = (
        market.frame("okx__BTC-USDT-PERP__1m", "15m"),
        market.frame("bybit__BTC-USDT-PERP__15m"),
    )
    common = binance["open_ms"].isin(okx["open_ms"]) & binance["open_ms"].isin(bybit["open_ms"])
    corrupt = binance[common].reset_index(drop=True)
    bars = range(40, len(corrupt), 50)
    for bar in bars:
        corrupt = changed(corrupt, bar, close=1 + 40 * BP)
    found = votes(compare(corrupt, okx, step_ms=step_ms).disagreements, bybit)
    assert found["open_ms"].tolist() == corrupt["open_ms"].iloc[list(bars)].tolist()
    assert set(found["vote"]) == {"other"}
    assert set(votes(compare(okx, corrupt, step_ms=step_ms).disagreements, bybit)["vote"]) == {"stored"}


def test_bars_replaced_by_their_neighbours_are_found_nine_times_in_ten(market: Market) -> None:
    at = "15m"
    clean = market.frame("binance__BTC-USDT-PERP__15m__20241001")
    other = market.frame("bybit__BTC-USDT-PERP__15m")
    corrupt = clean.copy()
    bars = np.arange(50, len(clean), 100)
    corrupt.loc[bars, PRICES] = clean.loc[bars - 1, PRICES].to_numpy()
    found = set(compare(corrupt, other, step_ms=timeframe(at).step_ms).disagreements["open_ms"])
    assert np.isin(clean.loc[bars, "open_ms"], list(found)).mean() > 0.9


def test_minutes_without_a_trade_are_on_one_side_only_and_no_disagreement(market: Market) -> None:
    found = compared(market, "binance__XRP-ETH__1m", "binance__XRP-ETH__1m__unfilled", "1m", ceiling=FLOAT_NOISE)
    assert (len(found.only_stored), len(found.only_other)) == (1_091, 0)
    assert (found.compared, found.verdict) == (2_469, "agree")


def test_one_venues_timeframes_are_equal_but_for_float_noise(market: Market) -> None:
    for shorter, longer in (("5m", "15m"), ("15m", "1h"), ("5m", "1h")):
        names = f"binance__DOGE-USDT-PERP__{shorter}__20251226", f"binance__DOGE-USDT-PERP__{longer}__20251226"
        found = compared(market, *names, longer, ceiling=FLOAT_NOISE)
        assert found.compared > 800
        assert found.verdict == "agree"

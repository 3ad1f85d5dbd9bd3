"""Which bars finer ones make for certain, and in which order series are filled so that they can."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pandas as pd
import pytest

from backfill.domain.candle_columns import CANDLE_COLUMNS
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import timeframe
from backfill.jobs.fill.roll_up import in_turn, whole_bars
from backfill.storage.series import SeriesWindow

QUARTER, HOUR = timeframe("15m"), timeframe("1h")
T0 = 1_763_600_400_000  # a full hour

# Four quarters that trade: open, high, low, close, coins, dollars.
QUARTERS = [(10, 12, 9, 11, 1, 10), (11, 15, 10, 14, 2, 25), (14, 14, 8, 9, 3, 30), (9, 11, 9, 10, 4, 40)]
MADE = (T0, 10, 15, 8, 10, 10, 105)


def quarters(bars: Sequence[tuple[float, ...] | None]) -> pd.DataFrame:
    """One after another from ``T0`` on; None leaves one out."""
    rows = [(T0 + place * QUARTER.step_ms, *bar) for place, bar in enumerate(bars) if bar is not None]
    return pd.DataFrame(rows, columns=CANDLE_COLUMNS).astype(
        {"open_ms": "int64", **dict.fromkeys(CANDLE_COLUMNS[1:], "float64")}
    )


def made(bars: Sequence[tuple[float, ...] | None], *silent: int) -> list[tuple[float, ...]]:
    """The hours that these quarters make; ``silent``: the places that had no trade."""
    spans = [Interval(T0 + place * QUARTER.step_ms, T0 + (place + 1) * QUARTER.step_ms) for place in silent]
    return [tuple(bar) for bar in whole_bars(quarters(bars), spans, QUARTER, HOUR).to_numpy().tolist()]


def without(place: int) -> list[tuple[float, ...] | None]:
    return [None if place == this else bar for this, bar in enumerate(QUARTERS)]


def test_four_quarters_make_an_hour():
    assert made(QUARTERS) == [MADE]


@pytest.mark.parametrize("place", range(4))
def test_an_hour_that_lacks_a_quarter_is_not_made(place):
    assert made([*without(place), *QUARTERS]) == [(T0 + HOUR.step_ms, *MADE[1:])]


def test_a_quarter_without_a_trade_adds_nothing_to_its_hour():
    assert made(without(1), 1) == [(T0, 10, 14, 8, 10, 8, 80)]


def test_only_the_silence_within_an_hour_counts_for_it():
    bars = [*QUARTERS[:3], None, None, *QUARTERS[1:]]
    assert made(bars, 3) == [(T0, 10, 15, 8, 9, 6, 65)]
    assert made(bars, 4) == [(T0 + HOUR.step_ms, 11, 15, 8, 10, 9, 95)]
    assert len(made(bars, 3, 4)) == 2


def test_an_hour_without_any_trade_is_not_made_up():
    assert made([None] * 4, 0, 1, 2, 3) == []
    assert made([None] * 4 + [*QUARTERS], 0, 1, 2, 3) == [(T0 + HOUR.step_ms, *MADE[1:])]


def test_flat_quarters_that_are_there_make_a_flat_hour():
    assert made([(7, 7, 7, 7, 0, 0)] * 4) == [(T0, 7, 7, 7, 7, 0, 0)]


def test_what_cannot_be_added_up_is_not_made_or_stays_unknown():
    assert made([*QUARTERS[:3], (9, 11, 9, 10, math.nan, 40)]) == []
    ((*prices_and_volume, quote_volume),) = made([*QUARTERS[:3], (9, 11, 9, 10, 4, math.nan)])
    assert tuple(prices_and_volume) == MADE[:6]
    assert math.isnan(quote_volume)


def test_scattered_silence_is_counted_hour_by_hour():
    chance = random.Random(3)
    there = [chance.random() < 0.8 for _ in range(400)]
    silent = [place for place in range(400) if not there[place] and chance.random() < 0.7]
    bars = [QUARTERS[place % 4] if there[place] else None for place in range(400)]

    hours = [
        hour
        for hour in range(100)
        if any(there[4 * hour : 4 * hour + 4])
        and all(there[place] or place in silent for place in range(4 * hour, 4 * hour + 4))
    ]
    assert [bar[0] for bar in made(bars, *silent)] == [T0 + hour * HOUR.step_ms for hour in hours]
    assert 10 < len(hours) < 90


def window(symbol: str, name: str, *, roll_up: bool) -> SeriesWindow:
    number = len(symbol) * 100 + timeframe(name).step_ms // 60_000
    return SeriesWindow(number, symbol, name, [1], T0, T0 + HOUR.step_ms, None, None, roll_up=roll_up)


def test_a_symbol_is_filled_from_fine_to_coarse_where_bars_are_made_of_others():
    windows = [
        window("ETH-USDT", "1d", roll_up=True),
        window("DOGE-USDT", "1h", roll_up=False),
        window("ETH-USDT", "15m", roll_up=False),
        window("DOGE-USDT", "15m", roll_up=True),
        window("ETH-USDT", "4h", roll_up=False),
    ]
    assert [[(one.symbol, one.timeframe) for one in chain] for chain in in_turn(windows)] == [
        [("ETH-USDT", "15m"), ("ETH-USDT", "4h"), ("ETH-USDT", "1d")],
        [("DOGE-USDT", "15m")],
        [("DOGE-USDT", "1h")],
    ]

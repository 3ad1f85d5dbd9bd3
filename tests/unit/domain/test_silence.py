"""Which silence is plausible for a series, by the rest of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval, difference, intersection, total_ms, union
from backfill.domain.silence import longest_plausible_run, plausible
from backfill.domain.timeframes import MINUTE_MS
from backfill.paper.candle_files import find_files, read_candles

SHARED = Path(__file__).parents[4] / "shared"


def sets(silent: Sequence[bool]) -> tuple[list[Interval], list[Interval]]:
    """The held and the silent bars."""
    bars = [Interval(n * MINUTE_MS, (n + 1) * MINUTE_MS) for n in range(len(silent))]
    rests = union(bar for bar, is_silent in zip(bars, silent, strict=True) if is_silent)
    return difference([Interval(0, len(silent) * MINUTE_MS)], rests), rests


def believed(silent: Sequence[bool]) -> list[Interval]:
    held, rests = sets(silent)
    return plausible(rests, held, rests, MINUTE_MS)


def at_random(share: float, bars: int, seed: int = 1) -> list[bool]:
    dice = random.Random(seed)
    return [dice.random() < share for _ in range(bars)]


@pytest.mark.parametrize("share", [0.0003, 0.001, 0.01, 0.05, 0.3, 0.66, 0.8])
@pytest.mark.parametrize("bars", [2880, 10_000])
def test_a_market_that_rests_at_its_own_rate_is_believed(share, bars):
    silent = at_random(share, bars)

    assert total_ms(believed(silent)) >= 0.98 * sum(silent) * MINUTE_MS


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param([(5000, 5050)], id="a replica that lags once"),
        pytest.param([(n, n + 50) for n in range(1390, 10_000, 1440)], id="a replica that lags in each page"),
        pytest.param([(4000, 5440)], id="a page"),
        pytest.param([(432, 1440), (1872, 2880)], id="pages cut short alike"),
        pytest.param([(432, 1440), (2016, 2880)], id="pages cut short, not alike"),
        pytest.param([(10, 30), (3000, 3040), (6000, 6080), (9000, 9160)], id="runs of all lengths"),
    ],
)
@pytest.mark.parametrize("rate", [0.0, 0.0005])
def test_a_run_that_the_rest_does_not_explain_is_not_believed(fault, rate):
    silent = at_random(rate, 10_000)
    for start, end in fault:
        silent[start:end] = [True] * (end - start)

    lost = [Interval(start * MINUTE_MS, end * MINUTE_MS) for start, end in fault]
    assert intersection(believed(silent), lost) == []


def test_a_page_far_sparser_than_the_rest_is_not_believed():
    silent = at_random(0.002, 20_000)
    silent[6000:7440] = at_random(0.1, 1440, seed=2)

    page = Interval(6000 * MINUTE_MS, 7440 * MINUTE_MS)
    assert total_ms(intersection(believed(silent), [page])) <= 0.2 * sum(silent[6000:7440]) * MINUTE_MS


def test_without_the_rest_of_a_series_nothing_is_believed():
    assert believed(at_random(0.3, 900)) == []
    assert believed([True] * 5000) == []
    assert longest_plausible_run(*sets(at_random(0.3, 900)), MINUTE_MS) is None


def test_a_lone_silent_bar_is_nothing_unusual():
    silent = [False] * 5000
    silent[2500] = True
    assert total_ms(believed(silent)) == MINUTE_MS


def test_only_what_is_asked_about_is_answered():
    held, rests = sets(at_random(0.3, 5000))
    asked = intersection(rests, [Interval(0, 1000 * MINUTE_MS)])
    assert plausible(asked, held, rests, MINUTE_MS) == asked
    assert plausible([], held, rests, MINUTE_MS) == []


REAL_MARKETS = (
    ("bitfinex__BTC-USD__1m", 1),
    ("unittest__UNITTEST-BTC__1m", 1),
    ("bittrex__XZC-BTC__1m__20171104", 1),
    ("bittrex__ADA-BTC__5m__20180110", 5),
    ("binance__XRP-ETH__1m__unfilled", 1),
)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")
@pytest.mark.parametrize(("name", "step"), REAL_MARKETS if SHARED.exists() else REAL_MARKETS[:1])
def test_real_markets_that_rest_are_believed(name, step):
    step_ms = step * MINUTE_MS
    opens_ms = np.unique(read_candles(*find_files(SHARED / "market", name))["open_ms"][:6000])
    held = bar_intervals(opens_ms, step_ms)
    rests = difference([Interval(held[0].start, held[-1].end)], held)

    assert total_ms(plausible(rests, held, rests, step_ms)) >= 0.98 * total_ms(rests)

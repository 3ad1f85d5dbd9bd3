"""Bars that look untrue by themselves, in markets made here."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from backfill.domain.candle_columns import PRICES
from backfill.domain.continuity import continuity
from backfill.domain.intervals import Interval, union
from backfill.domain.quantities import unfitting
from backfill.domain.suspicious_bars import PageEdges, flat_runs, page_edges, price_jumps
from unit.domain.candle_walks import thin_pair

MINUTE_MS = 60_000
T0 = 1_763_601_600_000
DAYS = 4 * 1440


def market(bars: int = DAYS, volatility: float = 0.0005, seed: int = 3) -> pd.DataFrame:
    """A random walk of minutes, each of which trades."""
    draw = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(draw.normal(0, volatility, bars)))
    opens = np.concatenate(([100.0], close[:-1]))
    return pd.DataFrame(
        {
            "open_ms": T0 + np.arange(bars) * MINUTE_MS,
            "open": opens,
            "high": np.maximum(opens, close) * 1.0001,
            "low": np.minimum(opens, close) * 0.9999,
            "close": close,
            "volume": draw.uniform(1, 9, bars),
            "quote_volume": np.nan,
        }
    )


def silenced(candles: pd.DataFrame, places: Iterable[int]) -> pd.DataFrame:
    """The bars at those places as an exchange writes them when nobody trades: flat, at the close before."""
    quiet = candles.copy()
    for place in sorted(places):
        quiet.loc[place, PRICES] = quiet.loc[place - 1, "close"]
        quiet.loc[place, "volume"] = 0
    return quiet


def minutes(first: int, end: int) -> Interval:
    return Interval(T0 + first * MINUTE_MS, T0 + end * MINUTE_MS)


def test_silence_in_a_market_that_always_trades_is_suspicious_even_for_a_minute():
    candles = silenced(market(), [*range(2000, 2074), 2100])
    assert flat_runs(candles, MINUTE_MS) == [minutes(2000, 2074), minutes(2100, 2101)]


def test_a_market_that_always_trades_has_no_suspicious_bar():
    assert flat_runs(market(), MINUTE_MS) == []


def test_single_silent_minutes_are_usual_where_one_in_a_hundred_is_but_a_long_silence_is_not():
    quiet_minutes = set(np.random.default_rng(5).choice(np.arange(1, DAYS), DAYS // 100, replace=False).tolist())
    candles = silenced(market(), quiet_minutes | set(range(3000, 3060)))
    (run,) = flat_runs(candles, MINUTE_MS)
    assert run.start <= T0 + 3000 * MINUTE_MS
    assert run.end >= T0 + 3060 * MINUTE_MS


def test_no_silence_is_news_where_a_tenth_of_the_minutes_are_silent():
    quiet_minutes = set(np.random.default_rng(5).choice(np.arange(1, DAYS), DAYS // 10, replace=False).tolist())
    assert flat_runs(silenced(market(), quiet_minutes | set(range(3000, 3060))), MINUTE_MS) == []


def test_a_market_that_never_trades_is_not_suspicious():
    assert flat_runs(silenced(market(50), range(1, 50)).iloc[1:], MINUTE_MS) == []
    assert flat_runs(market().head(0), MINUTE_MS) == []


def test_one_day_without_a_silence_does_not_make_the_next_single_one_suspicious():
    assert flat_runs(silenced(market(1440), [700]), MINUTE_MS) == []
    assert flat_runs(silenced(market(1440), range(700, 720)), MINUTE_MS) == [minutes(700, 720)]


@pytest.mark.parametrize("fields", [{"volume": np.nan}, {"volume": 0.001}, {"high": 101.0}])
def test_a_bar_that_may_have_traded_is_not_silent(fields):
    candles = silenced(market(), [2000])
    for name, value in fields.items():
        candles.loc[2000, name] = value
    assert flat_runs(candles, MINUTE_MS) == []


def holes(places: Iterable[int], bars: int = 1) -> list[Interval]:
    return [minutes(place, place + bars) for place in places]


def random_holes(count: int, bars: int, seed: int = 0) -> list[Interval]:
    return union(holes(np.random.default_rng(seed).choice(bars, count, replace=False).tolist()))


def test_one_bar_lost_on_each_page_is_a_pattern():
    assert page_edges(holes(range(250, 5000, 1000)), MINUTE_MS) == PageEdges(1000, holes(range(250, 5000, 1000)))


def test_page_edges_are_found_among_other_holes_and_told_from_them():
    edges = holes(range(1439, 15_000, 1440), bars=2)
    others = [*holes([100, 101, 3333, 9000, 9100]), minutes(5000, 5200)]
    assert page_edges([*others, *edges], MINUTE_MS) == PageEdges(1440, edges)


def test_page_edges_are_found_though_half_a_dozen_other_holes_lie_on_each_page():
    places = range(1439, 30_000, 1440)
    draw = np.random.default_rng(0).choice(30_000, 120, replace=False).tolist()
    others = [place for place in draw if place % 1440 not in (1438, 1439, 0)]
    found = page_edges(union(holes([*others, *places])), MINUTE_MS)
    assert found is not None
    assert (found.every_bars, set(holes(places)) - set(found.missing)) == (1440, set())
    assert len(found.missing) <= len(places) + 1


def test_an_edge_that_somebody_has_filled_since_does_not_hide_the_pattern():
    left = holes(place for place in range(0, 10_000, 1000) if place != 4000)
    assert page_edges(left, MINUTE_MS) == PageEdges(1000, left)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [5, 100, 2500])
def test_holes_at_random_are_no_pattern(count, seed):
    assert page_edges(random_holes(count, 14_000, seed), MINUTE_MS) is None


@pytest.mark.parametrize(
    "missing",
    [
        [],
        holes([500]),
        holes([500, 2000], bars=500),  # two pages that failed
        holes([500, 1000, 1500], bars=100),
        holes([0, 10_000, 20_000]),  # two equal distances
        holes(range(0, 400, 2)),  # every other minute
        [minutes(0, 5000)],
    ],
)
def test_a_few_lost_pages_and_bars_close_together_are_no_pattern(missing):
    assert page_edges(missing, MINUTE_MS) is None


def test_a_bar_scaled_by_a_twentieth_jumps_in_and_back():
    candles = market()
    candles.loc[3000, PRICES] *= 1.05
    jumps = price_jumps(candles, MINUTE_MS)
    assert jumps["open_ms"].tolist() == [T0 + 3000 * MINUTE_MS, T0 + 3001 * MINUTE_MS]
    assert jumps["jump"].to_numpy() == pytest.approx(np.log(1.05), abs=0.005)
    assert (jumps["bound"] < jumps["jump"]).all()


def test_what_is_a_jump_in_a_calm_market_is_none_in_a_wild_one():
    wild = market(volatility=0.01)
    wild.loc[3000, PRICES] *= 1.05
    assert price_jumps(wild, MINUTE_MS).empty


def test_a_market_as_it_is_does_not_jump_even_by_the_smallest_of_ticks():
    frozen = market(volatility=0)
    frozen.loc[3000:, PRICES] *= 1.015
    assert price_jumps(frozen, MINUTE_MS).empty


def test_a_price_that_is_elsewhere_after_a_hole_has_not_jumped():
    candles = market()
    candles.loc[3000:, PRICES] *= 1.05
    assert price_jumps(candles, MINUTE_MS)["open_ms"].tolist() == [T0 + 3000 * MINUTE_MS]
    assert price_jumps(candles.drop(index=[2999]), MINUTE_MS).empty


def test_a_few_bars_do_not_show_what_is_usual():
    candles = market(20)
    candles.loc[10, PRICES] *= 1.05
    assert price_jumps(candles, MINUTE_MS).empty
    assert price_jumps(market().head(0), MINUTE_MS).empty


def test_a_bar_that_goes_all_the_way_from_the_last_close_has_not_jumped():
    candles = market()
    crash = candles.copy()
    crash.loc[3000:, PRICES] *= 0.95
    crash.loc[3000, ["open", "high"]] = candles.loc[3000, ["open", "high"]]
    assert price_jumps(crash, MINUTE_MS).empty


def test_a_lone_thin_market_has_at_most_one_suspect_in_a_hundred_thousand_bars():
    bars = suspects = 0
    for seed, trades in enumerate((8.0, 3.0, 1.0, 0.3)):
        _, thin = thin_pair(50_000, trades=trades, apart=10e-4, crash=6.0, seed=seed)
        bars += len(thin)
        suspects += len(flat_runs(thin, MINUTE_MS)) + len(price_jumps(thin, MINUTE_MS))
        suspects += len(continuity(thin, MINUTE_MS).breaks) + int(unfitting(thin).sum())
    assert suspects <= bars / 100_000

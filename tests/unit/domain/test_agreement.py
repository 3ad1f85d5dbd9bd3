"""Which bars of two sources agree, how far apart they may be, and whom a third source believes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.agreement import BP, CEILING, DISAGREEMENT_COLUMNS, FLOAT_NOISE, MAX_OFFSET, compare, votes
from backfill.domain.candle_columns import PRICES
from unit.domain.candle_walks import STEP, T0, at_another_venue, changed, market


def told(disagreements: pd.DataFrame) -> list[tuple[int, str]]:
    bars = (disagreements["open_ms"] - T0) // STEP
    return list(zip(bars.tolist(), disagreements["field"], strict=True))


def test_the_same_candles_agree_whatever_their_volumes() -> None:
    stored = market()
    found = compare(stored, stored.assign(volume=0.0, quote_volume=9.0), step_ms=STEP)
    assert (found.compared, found.agreed, found.verdict, found.share_agreeing) == (200, 200, "agree", 1.0)
    assert found.disagreements.columns.tolist() == DISAGREEMENT_COLUMNS


def test_a_disagreement_is_a_row_for_each_bar_and_field() -> None:
    stored = market()
    other = changed(changed(stored, 70, high=1 / 1.01), 90, open=1 / 0.99, close=1 / 0.99)
    found = compare(stored, other, step_ms=STEP)
    assert told(found.disagreements) == [(70, "high"), (90, "open"), (90, "close")]
    assert (found.compared, found.agreed, found.verdict) == (200, 198, "disagree")
    row = found.disagreements.iloc[0]
    assert (row.stored, row.other) == (stored.at[70, "high"], other.at[70, "high"])
    assert found.disagreements["difference"].tolist() == pytest.approx([0.01, -0.01, -0.01])
    assert (found.disagreements["tolerance"] < found.disagreements["difference"].abs()).all()


@pytest.mark.parametrize("offset", [-8 * BP, -1 * BP, 4 * BP])
def test_another_venues_steady_offset_is_no_disagreement(offset: float) -> None:
    stored = market()
    assert compare(stored, at_another_venue(stored, offset), step_ms=STEP).verdict == "agree"


def test_an_offset_no_two_venues_have_is_a_disagreement_of_every_bar() -> None:
    stored = market(move=2 * BP)
    assert compare(stored, at_another_venue(stored, 3 * MAX_OFFSET), step_ms=STEP).agreed == 0


@given(bar=st.integers(0, 199), field=st.sampled_from(PRICES), by=st.sampled_from([-40 * BP, 40 * BP]))
def test_one_wrong_price_beside_a_drifting_offset_is_found_and_nothing_else(bar: int, field: str, by: float) -> None:
    stored = market()
    drift = 5 * BP * np.sin(np.arange(200) / 30)
    other = at_another_venue(stored, 0.0, noise=0.0)
    other[PRICES] *= (1 + drift)[:, None]
    found = compare(changed(stored, bar, **{field: 1 + by}), other, step_ms=STEP)
    assert told(found.disagreements) == [(bar, field)]


def test_a_wild_market_is_let_off_with_more_than_a_calm_one() -> None:
    for move, verdict in ((2 * BP, "disagree"), (60 * BP, "agree")):
        stored = market(move=move)
        assert compare(changed(stored, 100, close=1 + 8 * BP), stored, step_ms=STEP).verdict == verdict


def test_a_bar_in_which_the_market_jumps_is_let_off_with_more_if_both_sources_saw_it() -> None:
    calm = market(move=2 * BP)
    jump = changed(calm, 100, high=1.01)
    a_little_less = changed(calm, 100, high=1.0085)
    assert compare(jump, a_little_less, step_ms=STEP).verdict == "agree"
    assert told(compare(jump, calm, step_ms=STEP).disagreements) == [(100, "high")]


@pytest.mark.parametrize("width", [1.002, 1.02, 1.5])
def test_a_corrupt_bar_does_not_widen_its_own_tolerance(width: float) -> None:
    clean = market(move=2 * BP)
    corrupt = changed(clean, 100, high=width, low=1 / width, close=1 + 6 * BP)
    assert told(compare(corrupt, clean, step_ms=STEP).disagreements) == [(100, "high"), (100, "low"), (100, "close")]


def test_no_volatility_excuses_more_than_the_ceiling() -> None:
    stored = market(move=0.05)
    assert compare(changed(stored, 100, close=1.009), stored, step_ms=STEP).verdict == "agree"
    over = compare(changed(stored, 100, close=1.011), stored, step_ms=STEP)
    assert told(over.disagreements) == [(100, "close")]
    assert over.disagreements["tolerance"].tolist() == [CEILING]
    assert compare(changed(stored, 100, close=1.006), stored, step_ms=STEP, ceiling=0.005).verdict == "disagree"


def test_a_ceiling_of_float_noise_expects_equality_and_ignores_the_last_digits() -> None:
    stored = market()
    rebuilt = stored.assign(close=stored["close"] * (1 + 1e-12), high=stored["high"] * (1 - 9e-10))
    assert compare(stored, rebuilt, step_ms=STEP, ceiling=FLOAT_NOISE).verdict == "agree"
    assert compare(stored, rebuilt, step_ms=STEP, ceiling=0).verdict == "agree"
    corrected = changed(rebuilt, 50, low=1 - 1e-8)
    found = compare(stored, corrected, step_ms=STEP, ceiling=FLOAT_NOISE)
    assert told(found.disagreements) == [(50, "low")]
    assert compare(stored, at_another_venue(stored, BP), step_ms=STEP, ceiling=FLOAT_NOISE).agreed == 0


def test_prices_on_a_coarse_grid_may_be_one_tick_apart_but_not_two() -> None:
    """A coin at 0.02 with a tick of 0.0001: half a percent."""
    rng = np.random.default_rng(3)
    ticks = 200 + np.cumsum(rng.integers(-1, 2, 400))
    prices = dict.fromkeys(PRICES, ticks * 1e-4)
    stored = pd.DataFrame({"open_ms": T0 + STEP * np.arange(400), **prices, "volume": 1.0, "quote_volume": np.nan})
    for step, verdict in ((1, "agree"), (-1, "agree"), (2, "disagree"), (-2, "disagree")):
        other = stored.copy()
        other.loc[123, "close"] += step * 1e-4
        assert compare(stored, other, step_ms=STEP, ceiling=0.05).verdict == verdict


def test_bars_of_one_side_only_are_listed_and_never_lost() -> None:
    candles = market(20)
    stored, other = candles.drop(index=[3, 4]), candles.drop(index=[0, 10, 19])
    found = compare(stored, other, step_ms=STEP)
    assert ((found.only_stored - T0) // STEP).tolist() == [0, 10, 19]
    assert ((found.only_other - T0) // STEP).tolist() == [3, 4]
    assert (found.compared, found.verdict) == (15, "agree")


@pytest.mark.parametrize(("stored", "other"), [(0, 0), (0, 30), (30, 0)])
def test_without_a_bar_in_common_nothing_is_verified(stored: int, other: int) -> None:
    found = compare(market(stored), market(other), step_ms=STEP)
    assert (found.compared, found.verdict, found.share_agreeing) == (0, "unverified", 0.0)
    assert (len(found.only_stored), len(found.only_other)) == (stored, other)
    assert votes(found.disagreements, market(5)).empty


def test_times_that_interleave_are_not_the_same_bars() -> None:
    other = market(10).assign(open_ms=lambda c: c["open_ms"] + STEP // 2)
    assert compare(market(10), other, step_ms=STEP).verdict == "unverified"


def test_a_row_that_lacks_a_price_is_no_bar() -> None:
    stored, other = market(40), market(40)
    stored.loc[5, "high"] = math.nan
    other.loc[6, PRICES] = math.nan
    stored.loc[7, "close"] = other.loc[7, "open"] = math.nan
    found = compare(stored, other, step_ms=STEP)
    assert ((found.only_stored - T0) // STEP).tolist() == [6]
    assert ((found.only_other - T0) // STEP).tolist() == [5]
    assert (found.compared, found.verdict) == (37, "agree")


@pytest.mark.parametrize("bars", [1, 2, 10, 100])
def test_zeroed_and_infinite_prices_are_found_even_in_a_short_page(bars: int) -> None:
    clean = market(bars)
    for wrong in (0.0, math.inf, -1.0):
        broken = clean.copy()
        broken.loc[0, PRICES] = wrong
        for found in (compare(broken, clean, step_ms=STEP), compare(clean, broken, step_ms=STEP)):
            assert told(found.disagreements) == [(0, field) for field in PRICES]
    both_zero = clean.assign(**dict.fromkeys(PRICES, 0.0))
    assert compare(both_zero, both_zero, step_ms=STEP).verdict == "agree"


def test_a_page_too_short_to_tell_an_offset_is_let_off_with_a_usual_one() -> None:
    stored = market(5, move=BP)
    assert compare(stored, at_another_venue(stored, 5 * BP), step_ms=STEP).verdict == "agree"
    assert compare(stored, at_another_venue(stored, 20 * BP), step_ms=STEP).agreed == 0


def test_a_third_source_sides_with_the_nearer_one_within_reach() -> None:
    clean = market(move=2 * BP)
    wrong = changed(clean, 100, close=1.01)
    (row,) = votes(compare(wrong, clean, step_ms=STEP).disagreements, clean).itertuples()
    assert (row.vote, row.third) == ("other", clean.at[100, "close"])
    (row,) = votes(compare(clean, wrong, step_ms=STEP).disagreements, clean).itertuples()
    assert row.vote == "stored"
    disagreements = compare(clean, wrong, step_ms=STEP).disagreements
    for factor, vote in ((1.005, "neither"), (0.98, "neither"), (1 + 3 * BP, "stored"), (1.01 - 3 * BP, "other")):
        (row,) = votes(disagreements, changed(clean, 100, close=factor)).itertuples()
        assert row.vote == vote, factor
    halfway = disagreements.assign(stored=99.99, other=100.01)
    assert votes(halfway, clean.assign(close=100.0))["vote"].tolist() == ["neither"]


def test_a_third_source_without_the_bar_is_missing_and_not_on_a_side() -> None:
    clean = market()
    disagreements = compare(changed(changed(clean, 90, low=0.9), 100, close=1.01), clean, step_ms=STEP).disagreements
    third = clean.drop(index=100)
    third.loc[90, "high"] = math.nan  # of another field: the low still counts
    assert votes(disagreements, third)["vote"].tolist() == ["other", "missing"]
    assert votes(disagreements, market(0))["vote"].tolist() == ["missing", "missing"]


def on_a_grid(candles: pd.DataFrame, tick: float) -> pd.DataFrame:
    """Prices as the venue shows them, high and low around the others."""
    prices = (candles[PRICES] / tick).round() * tick
    return candles.assign(open=prices["open"], close=prices["close"], high=prices.max(axis=1), low=prices.min(axis=1))


@pytest.mark.parametrize("tick_bp", [0.5, 2, 4, 12])
def test_prices_that_are_rounded_to_a_coarse_tick_are_no_disagreement(tick_bp: float) -> None:
    market_prices = market(3000, move=4 * BP)
    tick = 50_000 * tick_bp * BP
    stored = on_a_grid(market_prices, tick)
    rng = np.random.default_rng(3)
    heavy = 1.5 * BP * rng.standard_t(6, (len(stored), 1))
    other = on_a_grid(market_prices.assign(**(market_prices[PRICES] * (1 + heavy))), tick)
    found = compare(stored, other, step_ms=STEP)
    assert found.share_agreeing > 0.999

    wrong = changed(stored, 1500, open=1.009, high=1.009, low=1.009, close=1.009)
    found_wrong = {bar for bar, _ in told(compare(wrong, other, step_ms=STEP).disagreements)}
    assert 1500 in found_wrong

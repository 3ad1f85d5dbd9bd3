"""One name for what is wrong with a whole page, and none for what is not."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from backfill.domain.agreement import BP, FLOAT_NOISE
from backfill.domain.candle_columns import PRICES
from backfill.domain.misfiled import Diagnosis, diagnose
from backfill.domain.timeframes import DAY_MS, HOUR_MS
from unit.domain.candle_walks import STEP, at_another_venue, late, market, thin_pair, times


def named(stored: pd.DataFrame, other: pd.DataFrame, step_ms: int = STEP, *, same_venue: bool = False) -> Diagnosis:
    found = diagnose(stored, other, step_ms=step_ms, same_venue=same_venue)
    assert found is not None
    return found


@pytest.mark.parametrize("same_venue", [True, False])
@pytest.mark.parametrize("lag_ms", [HOUR_MS, -5 * HOUR_MS, 14 * HOUR_MS, STEP, -2 * STEP])
def test_stamps_off_by_a_constant_are_an_hour_shift(lag_ms: int, same_venue: bool) -> None:
    true = market(1200)
    other = true if same_venue else at_another_venue(true, 2 * BP)
    found = named(late(true, lag_ms), other, same_venue=same_venue)
    assert (found.fault, found.lag_ms) == ("hour_shift", lag_ms)
    assert found.share_agreeing >= 0.99
    assert found.ratio == pytest.approx(1, abs=3 * BP)
    assert found.volume_ratio == pytest.approx(1 if same_venue else 1 / 7)


def test_the_lag_of_a_thin_market_shows_although_most_bars_are_missing() -> None:
    true = market(3000)
    rng = np.random.default_rng(5)
    stored, other = (true[rng.random(3000) < share].reset_index(drop=True) for share in (0.3, 0.6))
    found = named(late(stored, HOUR_MS), other, same_venue=True)
    assert (found.fault, found.lag_ms, found.share_agreeing) == ("hour_shift", HOUR_MS, 1.0)


def test_a_lag_is_named_in_hours_or_minutes_late_or_early() -> None:
    true = market()
    for lag_ms, reason in (
        (2 * HOUR_MS, "its stamps are 2 h late: set right, 100.0% of 200 bars agree"),
        (-STEP, "its stamps are 1 min early: set right, 100.0% of 200 bars agree"),
    ):
        assert named(late(true, lag_ms), true, same_venue=True).reason == reason


def test_stamps_of_hourly_bars_that_are_an_hour_late_are_an_hour_shift() -> None:
    true = market(100, step_ms=HOUR_MS)
    found = named(late(true, HOUR_MS), true, HOUR_MS, same_venue=True)
    assert (found.fault, found.lag_ms, found.share_agreeing) == ("hour_shift", HOUR_MS, 1.0)


def test_a_few_wrong_bars_do_not_hide_the_lag() -> None:
    true = market(600)
    stored = late(true, HOUR_MS)
    stored.loc[stored.index[::30], PRICES] *= 1.05
    assert named(stored, true, same_venue=True).fault == "hour_shift"


def test_a_market_that_hardly_moves_proves_no_lag() -> None:
    """Every lag fits it; at the page's own times there is nothing to compare."""
    calm = market(120, move=0.01 * BP)
    assert diagnose(late(calm, 200 * STEP), calm, step_ms=STEP) is None


@pytest.mark.parametrize("same_venue", [True, False])
@pytest.mark.parametrize("factor", [1000, 0.001, 10, 1.05])
def test_the_same_shape_times_a_constant_is_a_wrong_scale(factor: float, same_venue: bool) -> None:
    true = market()
    found = named(times(true, factor), true if same_venue else at_another_venue(true, -BP), same_venue=same_venue)
    assert found.fault == "wrong_scale"
    assert found.ratio == pytest.approx(factor, rel=3 * BP)
    assert found.share_agreeing >= 0.99


@pytest.mark.parametrize("same_venue", [True, False])
def test_another_coin_is_a_wrong_instrument(same_venue: bool) -> None:
    other_coin = times(market(1440, seed=8), 0.03)
    found = named(other_coin, market(1440), same_venue=same_venue)
    assert (found.fault, found.lag_ms) == ("wrong_instrument", 0)
    assert found.share_agreeing == 0
    assert found.ratio == pytest.approx(0.03, rel=0.1)


def test_a_basis_and_other_volumes_show_that_a_venues_own_page_is_another_market() -> None:
    perpetual = market(100)
    spot = at_another_venue(perpetual, 4 * BP).assign(volume=perpetual["volume"] * 0.13)
    found = named(spot, perpetual, same_venue=True)
    assert found.fault == "wrong_instrument"
    assert found.median_bp == pytest.approx(4, abs=0.2)
    assert found.volume_ratio == pytest.approx(0.13)
    assert "+4.0 bp" in found.reason
    assert "0.13 times the volume" in found.reason


@pytest.mark.parametrize(("offset", "volume"), [(4 * BP, 1.0), (0.0, 0.13)])
def test_either_of_them_is_enough_where_most_bars_differ(offset: float, volume: float) -> None:
    own = market()
    found = named(at_another_venue(own, offset).assign(volume=own["volume"] * volume), own, same_venue=True)
    assert found.fault == "wrong_instrument"


def test_between_venues_a_small_basis_tells_only_if_it_lasts() -> None:
    quarter = 15 * STEP
    days = DAY_MS // quarter
    perpetual = market(11 * days, step_ms=quarter)
    spot = at_another_venue(perpetual, 4 * BP).assign(volume=perpetual["volume"] * 0.2)
    assert diagnose(spot[: 2 * days], perpetual, step_ms=quarter) is None
    found = named(spot, perpetual, quarter)
    assert (found.fault, round(found.median_bp)) == ("wrong_instrument", 4)
    assert found.share_agreeing > 0.99
    unsteady = at_another_venue(perpetual, 4 * BP, noise=10 * BP)
    assert diagnose(unsteady, perpetual, step_ms=quarter) is None


def test_between_venues_a_basis_that_no_two_perpetuals_have_tells_at_once() -> None:
    perpetual = market(100)
    assert named(at_another_venue(perpetual, 30 * BP), perpetual).fault == "wrong_instrument"


@pytest.mark.parametrize("same_venue", [True, False])
def test_what_is_equal_or_only_scattered_has_no_diagnosis(same_venue: bool) -> None:
    true = market(400)
    assert diagnose(true, true, step_ms=STEP, same_venue=same_venue) is None
    wrong = true.copy()
    wrong.loc[::3, PRICES] *= 1.05
    assert diagnose(wrong, true, step_ms=STEP, same_venue=same_venue) is None


def test_float_noise_is_no_fault_of_a_venues_own_page() -> None:
    true = market()
    assert diagnose(times(true, 1 + 0.5 * FLOAT_NOISE), true, step_ms=STEP, same_venue=True) is None


def test_an_instrument_of_the_same_class_at_another_venue_is_no_wrong_one_whatever_its_volume() -> None:
    true = market(1440)
    assert diagnose(true, at_another_venue(true, 3 * BP), step_ms=STEP) is None


def test_rounded_prices_of_the_right_series_are_no_other_instrument() -> None:
    own = market()
    assert diagnose(own.round(dict.fromkeys(PRICES, 0)), own, step_ms=STEP, same_venue=True) is None


@pytest.mark.parametrize("same_venue", [True, False])
def test_a_feed_that_stands_still_is_no_other_instrument(same_venue: bool) -> None:
    moving = market(1440)
    still = moving.assign(**dict.fromkeys(PRICES, 40_000.0), volume=0.0)
    assert diagnose(still, moving, step_ms=STEP, same_venue=same_venue) is None


@pytest.mark.parametrize("same_venue", [True, False])
def test_too_few_bars_have_no_diagnosis(same_venue: bool) -> None:
    for bars in (0, 1, 29):
        assert diagnose(times(market(bars), 1000), market(bars), step_ms=STEP, same_venue=same_venue) is None
        assert diagnose(market(bars, seed=8), market(bars), step_ms=STEP, same_venue=same_venue) is None


def test_without_known_volumes_the_prices_decide() -> None:
    own = market()
    blind = at_another_venue(own, 4 * BP).assign(volume=math.nan)
    found = named(blind, own, same_venue=True)
    assert (found.fault, found.volume_ratio) == ("wrong_instrument", None)
    assert "volume" not in found.reason


@pytest.mark.parametrize("lag_ms", [HOUR_MS, -2 * HOUR_MS])
@pytest.mark.parametrize("trades", [8.0, 1.0])
def test_the_lag_of_a_pair_of_which_one_trades_seldom_is_found(lag_ms: int, trades: float) -> None:
    liquid, thin = thin_pair(1440, trades=trades)
    assert diagnose(liquid, thin, step_ms=STEP) is None
    found = named(late(liquid, lag_ms), thin)
    assert (found.fault, found.lag_ms) == ("hour_shift", lag_ms)

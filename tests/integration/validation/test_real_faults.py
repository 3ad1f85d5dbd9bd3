"""Real bars with real faults, and real ones that only look like it, through fill and validation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.helpers import assert_held_is_true
from integration.validation import real_faults
from integration.validation.keeper_on_paper import Keeper
from integration.validation.real_faults import PERP, Case
from integration.validation.real_pairs import SPOT_AND_PERPETUAL, Outcome, Pair, compare_pair
from reference import Market

pytestmark = pytest.mark.long


@pytest.fixture
def keeper(database_uri: str, market: Market) -> Iterator[Keeper]:
    with Keeper(database_uri, market) as opened:
        yield opened
        assert_held_is_true(opened.store.connection)


def assert_right(keeper: Keeper, case: Case) -> None:
    lines = case(keeper)
    assert {line.of: line.said for line in lines} == {line.of: line.right for line in lines}


def test_fake_bars_are_found_beside_another_venue_and_replaced_once_their_primary_mends_them(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.fake_bars_beside_another_venue)


def test_fake_bars_of_a_lone_primary_are_suspects_and_replaced_once_it_mends_them(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.fake_bars_of_a_lone_home)


def test_halts_are_no_faults_once_every_symbol_is_seen_to_have_them(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.halts_of_a_venue)


def test_every_minute_without_a_trade_is_proved_to_have_had_none(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.minutes_without_a_trade)


def test_minutes_that_a_store_had_filled_are_proved_to_have_had_no_trade(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.minutes_that_a_store_filled)


def test_silent_minutes_of_quiet_markets_are_no_faults(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.quiet_markets)


def test_minutes_that_thin_markets_lack_are_no_faults(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.thin_markets)


def test_other_last_digits_are_no_revision_and_no_finding(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.float_noise)


def test_every_thousandth_bar_that_is_missing_is_one_finding_of_page_edges(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.page_edges_of_15m)


def test_bars_lost_at_page_edges_are_proved_lost_where_longer_bars_tell(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.page_edges_of_5m)


def test_bars_taken_out_at_random_are_all_proved_lost_and_are_gaps_again(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.bars_taken_out_at_random)


def test_spot_filed_as_the_perpetual_is_named_by_the_page_and_not_bar_by_bar(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.spot_filed_as_the_perpetual)


def test_stamps_an_hour_late_are_named_with_their_lag_and_replaced_by_true_ones(keeper: Keeper) -> None:
    assert_right(keeper, real_faults.stamps_an_hour_late)


def explained(outcome: Outcome, at_most: float) -> bool:
    return outcome.share <= at_most and all(one.why for one in outcome.disputes)


def test_two_venues_disagree_on_few_bars_and_each_is_explained(keeper: Keeper) -> None:
    outcome = compare_pair(keeper, Pair(PERP, "bybit__BTC-USDT-PERP__15m", "15m", real_faults.FIVES))
    assert explained(outcome, at_most=0.0012)
    assert [one.why for one in outcome.disputes].count("the primary source's outage") == 3, "beside the silent bars"
    # The market of the made bars leaps where the outage ends.
    assert {kind: count for kind, count in outcome.kinds.items() if kind != "continuity"} == {"flat_bars": 1}


@pytest.mark.parametrize(
    "pair",
    [
        Pair("binance__BTC-USDT-PERP__5m__20251226", "okx__BTC-USDT-PERP__1m", "5m"),
        Pair("bybit__BTC-USDT-PERP__15m", "binance__BTC-USDT-PERP__1m__20250504", "15m"),
        Pair("bybit__ETH-USDT-PERP__15m", "binance__ETH-USDT-PERP__1m__20250504", "15m"),
        Pair("bybit__BTC-USDT-PERP__15m", "binance__BTC-USDT-PERP__15m__20251226", "15m"),
    ],
    ids=lambda pair: f"{pair.primary} beside {pair.other}",
)
def test_venues_in_good_health_hardly_disagree(keeper: Keeper, pair: Pair) -> None:
    outcome = compare_pair(keeper, pair)
    assert explained(outcome, at_most=0.0007)
    assert outcome.kinds == {}


@pytest.mark.parametrize("pair", SPOT_AND_PERPETUAL[:2], ids=lambda pair: f"{pair.primary} beside {pair.other}")
def test_spot_beside_a_perpetual_is_named_though_no_bar_disagrees(keeper: Keeper, pair: Pair) -> None:
    outcome = compare_pair(keeper, pair)
    # A leap of the made market at a full hour breaks a joint.
    assert (outcome.disputes, set(outcome.kinds) - {"continuity"}) == ([], {"wrong_instrument"})

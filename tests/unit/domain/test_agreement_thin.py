"""Coins that trade seldom at one of two venues: what such a pair may differ by it shows itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backfill.domain.agreement import BP, Comparison, compare
from backfill.domain.candle_columns import CANDLE_COLUMNS, PRICES
from backfill.domain.misfiled import diagnose
from backfill.domain.timeframes import HOUR_MS
from reference import SHARED
from unit.domain.candle_walks import STEP, at_another_venue, changed, market, thin_pair, times

CASES = SHARED / "cases"
FIVES = 5 * STEP


def real_pair(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both sides of a file of ../shared/cases."""
    if not CASES.is_dir():
        pytest.skip("../shared/cases is missing")
    bars = (
        pd.read_csv(CASES / name)
        .rename(columns={"ts_ms": "open_ms"})
        .assign(quote_volume=np.nan, quote_volume_other=np.nan)
    )
    other = {f"{column}_other": column for column in CANDLE_COLUMNS[1:]}
    return bars[CANDLE_COLUMNS], bars[["open_ms", *other]].rename(columns=other)


def found_at(clean: pd.DataFrame, other: pd.DataFrame, step_ms: int = STEP, **factors: float) -> float:
    """Share of corrupted bars that are found, of those in which both traded."""
    at = np.arange(5, len(clean), 20)
    corrupt = clean.copy()
    for field, factor in factors.items():
        corrupt.loc[at, field] *= factor
    found = compare(corrupt, other, step_ms=step_ms)
    traded = clean.loc[at, "open_ms"][~clean.loc[at, "open_ms"].isin(found.silent)]
    return float(traded.isin(found.disagreements["open_ms"]).mean())


def all_prices(factor: float) -> dict[str, float]:
    return dict.fromkeys(PRICES, factor)


@pytest.mark.parametrize("trades", [20.0, 3.0, 1.0, 0.3])
@pytest.mark.parametrize("apart", [2 * BP, 6 * BP, 15 * BP])
@pytest.mark.parametrize("crash", [1.0, 6.0])
def test_a_thin_market_beside_a_liquid_one_agrees_where_both_traded(trades: float, apart: float, crash: float) -> None:
    liquid, thin = thin_pair(trades=trades, apart=apart, crash=crash)
    silent = thin.loc[thin["volume"] == 0, "open_ms"]
    for found in (compare(liquid, thin, step_ms=STEP), compare(thin, liquid, step_ms=STEP)):
        assert found.silent.tolist() == silent.tolist()
        assert found.compared == len(liquid) - len(silent)
        assert found.share_agreeing > (0.99 if crash == 1 else 0.97)


@pytest.mark.parametrize("trades", [20.0, 3.0, 1.0])
def test_what_a_pair_says_it_resolves_it_finds_and_the_noisier_resolves_less(trades: float) -> None:
    resolves = []
    for apart in (1 * BP, 8 * BP):
        liquid, thin = thin_pair(5760, trades=trades, apart=apart)
        resolves.append(compare(liquid, thin, step_ms=STEP).resolves)
        assert found_at(liquid, thin, **all_prices(1 + resolves[-1])) >= 0.97
        assert found_at(liquid, thin, **all_prices(1.05)) == 1
        assert found_at(liquid, thin, high=1.03) == 1
    assert resolves[0] < resolves[1] < 0.012


@pytest.mark.parametrize("share", [0.05, 0.2, 0.35])
def test_a_share_of_corrupt_bars_does_not_widen_its_own_tolerance(share: float) -> None:
    for liquid, other in (thin_pair(2880, trades=5.0), (market(2880), at_another_venue(market(2880), 2 * BP))):
        corrupt = liquid.copy()
        at = np.random.default_rng(1).choice(len(liquid), round(share * len(liquid)), replace=False)
        corrupt.loc[at, PRICES] *= 1.05
        found = compare(corrupt, other, step_ms=STEP)
        wrong = liquid.loc[at, "open_ms"]
        assert wrong[~wrong.isin(found.silent)].isin(found.disagreements["open_ms"]).mean() > 0.99


def test_a_pair_with_too_few_common_trades_to_learn_from_is_let_off_with_the_usual_range() -> None:
    liquid, thin = thin_pair(96, trades=0.05, seed=8)
    found = compare(liquid, thin, step_ms=STEP)
    assert 0 < found.compared < 16
    assert found.verdict == "agree"
    both = int(np.flatnonzero(thin["volume"] > 0)[0])
    assert compare(changed(liquid, both, **all_prices(1.05)), thin, step_ms=STEP).agreed == found.agreed - 1


def test_without_a_bar_in_which_both_traded_nothing_is_verified() -> None:
    liquid, thin = thin_pair(50)
    still = thin.assign(**dict.fromkeys(PRICES, 100.0), volume=0.0)
    found = compare(liquid, still, step_ms=STEP)
    assert (found.compared, len(found.silent), found.verdict) == (0, 50, "unverified")
    assert np.isnan(found.resolves)


def test_thin_coins_of_bybit_and_gate_agree() -> None:
    for coin, both, disagreeing in (("AAVE", 94, 0.01), ("ATOM", 94, 0.01), ("KLAY", 31, 0.03), ("CVC", 5, 0.03)):
        bybit, gate = real_pair(f"thin_{coin}_5m_bybit_gate_96bars.csv")
        found: Comparison = compare(bybit, gate, step_ms=FIVES)
        assert (found.compared, len(found.silent)) == (both, 96 - both), coin
        assert 1 - found.share_agreeing < disagreeing, coin
        if coin != "CVC":  # too few bars in which both traded
            for factors in (all_prices(1.05), all_prices(0.95), {"high": 1.03}):
                assert found_at(bybit, gate, FIVES, **factors) == 1, (coin, factors)
        if coin in ("AAVE", "ATOM"):
            assert found_at(bybit, gate, FIVES, **all_prices(1.01)) == 1, coin


def test_two_perpetuals_that_lie_apart_for_weeks_are_one_instrument() -> None:
    binance, bybit = real_pair("wif_1h_binance_bybit_264bars_called_wrong_instrument.csv")
    assert diagnose(binance, bybit, step_ms=HOUR_MS) is None
    assert diagnose(bybit, binance, step_ms=HOUR_MS) is None
    assert compare(binance, bybit, step_ms=HOUR_MS).verdict == "agree"


def test_a_lasting_basis_is_another_market_only_with_a_spot_markets_volume() -> None:
    perpetual = market(264, move=60 * BP, step_ms=HOUR_MS)
    apart = at_another_venue(perpetual, -5 * BP, noise=1 * BP)
    for times_the_volume, fault in ((2.0, None), (0.5, None), (0.13, "wrong_instrument")):
        stored = apart.assign(volume=perpetual["volume"] * times_the_volume)
        said = diagnose(stored, perpetual, step_ms=HOUR_MS)
        assert (said.fault if said else None) == fault


def test_prices_off_by_a_constant_that_no_market_keeps_are_a_fault_whatever_the_volume() -> None:
    perpetual = market(300, move=20 * BP)
    said = diagnose(times(perpetual, 1.003).assign(volume=9.0), perpetual, step_ms=STEP)
    assert said is not None
    assert said.fault == "wrong_instrument"

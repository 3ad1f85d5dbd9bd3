"""Real series that were filed wrongly get their name; real series that were not get none."""

from __future__ import annotations

import pytest

from backfill.domain.misfiled import Diagnosis, diagnose
from backfill.domain.timeframes import HOUR_MS, timeframe
from reference import Market
from unit.domain.candle_walks import late
from unit.domain.test_agreement_real import PAIRS

pytestmark = pytest.mark.long

PAGE = 300


def diagnosed(market: Market, stored: str, other: str, at: str, *, same_venue: bool = False) -> Diagnosis | None:
    step_ms = timeframe(at).step_ms
    return diagnose(market.frame(stored, at), market.frame(other, at), step_ms=step_ms, same_venue=same_venue)


@pytest.mark.parametrize("same_venue", [True, False])
def test_a_download_with_local_times_is_an_hour_shift(market: Market, same_venue: bool) -> None:
    shifted, true = "bittrex__ADA-BTC__5m__20180115tzlate1h", "bittrex__ADA-BTC__5m__20180110"
    found = diagnosed(market, shifted, true, "5m", same_venue=same_venue)
    assert found is not None
    assert (found.fault, found.lag_ms, found.ratio, found.volume_ratio) == ("hour_shift", HOUR_MS, 1, 1)
    assert found.share_agreeing > 0.999
    back = diagnosed(market, true, shifted, "5m", same_venue=same_venue)
    assert back is not None
    assert (back.fault, back.lag_ms) == ("hour_shift", -HOUR_MS)


@pytest.mark.parametrize("same_venue", [True, False])
@pytest.mark.parametrize(
    "name",
    ["MEME-BTC__1m__20180125tzlate1h", "EDG-BTC__1m__20171108", "SNT-BTC__1m__20171108", "XZC-BTC__1m__20171104"],
)
def test_the_lag_of_a_real_market_that_lacks_most_minutes_is_found(market: Market, name: str, same_venue: bool) -> None:
    """Against its own true times, half of its bars lost."""
    true = market.frame(f"bittrex__{name}")
    half = true.sample(frac=0.5, random_state=1).sort_values("open_ms", ignore_index=True)
    found = diagnose(late(true, -2 * HOUR_MS), half, step_ms=60_000, same_venue=same_venue)
    assert found is not None
    assert (found.fault, found.lag_ms) == ("hour_shift", -2 * HOUR_MS)
    assert diagnose(true, half, step_ms=60_000, same_venue=same_venue) is None


def test_spot_filed_as_the_perpetual_differs_from_its_own_shorter_bars(market: Market) -> None:
    misfiled, own = "binance__BTC-USDT-PERP__1h__20241001", "binance__BTC-USDT-PERP__5m__20241001"
    found = diagnosed(market, misfiled, own, "1h", same_venue=True)
    assert found is not None
    assert found.fault == "wrong_instrument"
    assert found.median_bp == pytest.approx(3.5, abs=0.1)
    assert found.volume_ratio == pytest.approx(0.13, abs=0.01)
    assert found.share_agreeing < 0.05
    stored, other = market.frame(misfiled), market.frame(own, "1h")
    for start in range(0, len(stored) - PAGE, PAGE):
        page = diagnose(stored[start : start + PAGE], other, step_ms=HOUR_MS, same_venue=True)
        assert page is not None, f"the page from bar {start}"
        assert page.fault == "wrong_instrument"


@pytest.mark.parametrize("other", ["bybit__BTC-USDT-PERP__1h", "bybit__BTC-USDT-PERP__15m"])
def test_spot_filed_as_the_perpetual_lies_at_a_basis_from_another_venues(market: Market, other: str) -> None:
    found = diagnosed(market, "binance__BTC-USDT-PERP__1h__20241001", other, "1h")
    assert found is not None
    assert found.fault == "wrong_instrument"


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [("1h__20251226", "5m__20251226"), ("1h__20251226", "15m__20251226"), ("15m__20241001", "5m__20241001")],
)
def test_a_series_filed_rightly_is_its_venues_own(market: Market, longer: str, shorter: str) -> None:
    names = f"binance__BTC-USDT-PERP__{longer}", f"binance__BTC-USDT-PERP__{shorter}"
    assert diagnosed(market, *names, longer.split("__")[0], same_venue=True) is None


@pytest.mark.parametrize(("stored", "other", "at"), [pair[:3] for pair in PAIRS])
def test_no_page_of_one_instrument_at_two_venues_is_called_misfiled(
    market: Market, stored: str, other: str, at: str
) -> None:
    mine, theirs = market.frame(stored, at), market.frame(other, at)
    step_ms = timeframe(at).step_ms
    assert diagnose(mine, theirs, step_ms=step_ms) is None
    mine = mine[mine["open_ms"].isin(theirs["open_ms"])]
    for start in range(0, len(mine), PAGE):
        assert diagnose(mine[start : start + PAGE], theirs, step_ms=step_ms) is None, f"the page from bar {start}"


def test_filled_and_unfilled_minutes_without_a_trade_are_no_fault(market: Market) -> None:
    filled, unfilled = "binance__XRP-ETH__1m", "binance__XRP-ETH__1m__unfilled"
    assert diagnosed(market, filled, unfilled, "1m", same_venue=True) is None
    assert diagnosed(market, unfilled, filled, "1m", same_venue=True) is None


def test_another_real_coin_is_a_wrong_instrument(market: Market) -> None:
    files = "binance__ETH-USDT-PERP__1m__20250504", "binance__BTC-USDT-PERP__1m__20250504"
    for same_venue in (True, False):
        found = diagnosed(market, *files, "1m", same_venue=same_venue)
        assert found is not None
        assert found.fault == "wrong_instrument"

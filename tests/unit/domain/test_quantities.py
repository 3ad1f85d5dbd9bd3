"""What was paid for a coin lies between a bar's low and high."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backfill.domain.quantities import unfitting
from unit.domain.candle_walks import market


def traded(price: float, *, lot: float = 0.001, cent: float = 0.0001, bars: int = 500) -> pd.DataFrame:
    """Bars around a price whose volumes are rounded, as venues round them."""
    candles = market(bars, move=0.001)
    scale = price / 50_000
    candles = candles.assign(**{name: candles[name] * scale for name in ("open", "high", "low", "close")})
    rng = np.random.default_rng(2)
    volume = np.round(rng.gamma(0.5, 20 / price, bars) / lot) * lot
    paid = candles["low"] + (candles["high"] - candles["low"]) * rng.random(bars)
    return candles.assign(volume=volume, quote_volume=np.round(volume * paid / cent) * cent)


@pytest.mark.parametrize(
    ("price", "lot", "cent"), [(60_000, 0.001, 0.0001), (0.02, 1.0, 0.0001), (3.0, 0.1, 1.0), (1e-6, 1000.0, 1e-8)]
)
def test_rounded_volumes_of_any_price_fit(price: float, lot: float, cent: float) -> None:
    assert not unfitting(traded(price, lot=lot, cent=cent)).any()


@pytest.mark.parametrize("price", [60_000, 3.0, 0.02])
def test_swapped_columns_and_other_units_do_not_fit(price: float) -> None:
    lot = 10.0 ** -round(np.log10(price) + 1)
    clean = traded(price, lot=lot, cent=1e-6)
    clean = clean[clean["volume"] > 20 * lot]
    wrong = (
        clean.assign(volume=clean["quote_volume"], quote_volume=clean["volume"]),
        clean.assign(volume=clean["volume"] * 10),
        clean.assign(volume=clean["volume"] * 0.001),
        clean.assign(quote_volume=clean["quote_volume"] * 7),
        clean.assign(volume=0.0),
    )
    assert len(clean) > 50
    for candles in wrong:
        assert unfitting(candles).mean() > 0.99


def test_an_unknown_volume_and_a_bar_without_a_trade_fit() -> None:
    clean = traded(100.0)
    assert not unfitting(clean.assign(quote_volume=np.nan)).any()
    assert not unfitting(clean.assign(volume=0.0, quote_volume=0.0)).any()
    assert not unfitting(clean[:0]).any()


def test_one_bar_of_another_unit_among_many_is_the_only_one() -> None:
    candles = traded(100.0, lot=0.001)
    candles.loc[7, "volume"] = 5.0
    candles.loc[7, "quote_volume"] = 5.0
    assert np.flatnonzero(unfitting(candles)).tolist() == [7]

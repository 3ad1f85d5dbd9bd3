"""A bar that strays from the instrument's other price is found; a basis that moves, and a market that runs, are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backfill.domain.price_basis import basis
from reference import Market
from unit.domain.test_agreement_real import FAKE, PAIRS

MINUTE_MS = 60_000
BARS = 3000


def priced(walk: np.ndarray, seed: int, noise: float) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    closes = np.exp(walk + random.normal(0, noise, len(walk)))
    opens = np.concatenate([closes[:1], closes[:-1]])
    wide = np.abs(random.normal(0, 2e-4, (2, len(walk))))
    return pd.DataFrame(
        {
            "open_ms": 1_772_000_040_000 + MINUTE_MS * np.arange(len(walk), dtype=np.int64),
            "open": opens,
            "high": np.maximum(opens, closes) * (1 + wide[0]),
            "low": np.minimum(opens, closes) * (1 - wide[1]),
            "close": closes,
            "volume": np.nan,
        }
    )


def walk_of(moves: float = 4e-4) -> np.ndarray:
    walk: np.ndarray = np.log(60_000) + np.cumsum(np.random.default_rng(5).normal(0, moves, BARS))
    return walk


def scaled(candles: pd.DataFrame, bar: int, factor: float, fields: tuple[str, ...]) -> pd.DataFrame:
    wrong = candles.copy()
    wrong.loc[bar, list(fields)] *= factor
    return wrong


WHOLE = ("open", "high", "low", "close")


def test_a_wrong_bar_is_found_and_a_sound_one_is_not() -> None:
    mark, index = priced(walk_of() + 0.004, 1, 5e-5), priced(walk_of(), 2, 5e-5)
    sound = basis(mark, index)
    assert (len(sound.compared), len(sound.strays)) == (BARS, 0)
    assert 0.0003 < sound.resolves < 0.003
    for factor in (1 + 1.5 * sound.resolves, 1 - 1.5 * sound.resolves):
        found = basis(scaled(mark, 1500, factor, WHOLE), index)
        assert found.strays["open_ms"].tolist() == [int(mark["open_ms"][1500])]
        assert found.strays["usual"].tolist() == pytest.approx([0.004], abs=2e-4)
    one_price = basis(scaled(mark, 2990, 1.004, ("high",)), index).strays
    assert one_price["field"].tolist() == ["high"]
    # Near the ends, and in a fifth of an hour of wrong bars, too.
    for bars in ([3], [BARS - 1], list(range(700, 712))):
        wrong = mark.copy()
        wrong.loc[bars, list(WHOLE)] *= 1.01
        assert basis(wrong, index).strays["open_ms"].tolist() == mark["open_ms"].iloc[bars].tolist()


def test_a_basis_that_moves_and_a_market_that_runs_are_no_fault() -> None:
    drift = 0.01 * np.sin(np.arange(BARS) / 400)
    step = np.where(np.arange(BARS) > 1700, -0.006, 0.0)
    assert basis(priced(walk_of() + drift, 1, 5e-5), priced(walk_of(), 2, 5e-5)).strays.empty
    assert basis(priced(walk_of() + step, 1, 5e-5), priced(walk_of(), 2, 5e-5)).strays.empty
    crash = walk_of()
    crash[2000:2060] -= np.linspace(0, 0.15, 60)
    crash[2060:] -= 0.15
    behind = crash.copy()
    behind[1:] = 0.9 * crash[1:] + 0.1 * crash[:-1]  # the index follows
    assert basis(priced(behind, 1, 5e-5), priced(crash, 2, 5e-5)).strays.empty


def test_too_few_common_bars_show_nothing() -> None:
    mark, index = priced(walk_of(), 1, 5e-5), priced(walk_of(), 2, 5e-5)
    few = basis(mark.head(200), index)
    assert (len(few.compared), len(few.strays)) == (0, 0)
    assert few.resolves != few.resolves
    silent = index.assign(high=index["close"], low=index["close"], open=index["close"], volume=0.0)
    assert len(basis(mark, silent).compared) == 0


def test_real_prices_of_two_venues_stray_in_one_bar_of_two_thousand_at_most(market: Market) -> None:
    compared = strays = 0
    for one, other, at, _ in PAIRS[2:4]:
        frames = [market.frame(name, at) for name in (one, other)]
        sound = [frame[~frame.index.isin(frame.query(FAKE).index)] for frame in frames]
        found = basis(*sound)
        compared, strays = compared + len(found.compared), strays + len(found.strays)
        assert found.resolves < 0.012
    assert compared > 8_000
    assert strays < compared / 2000

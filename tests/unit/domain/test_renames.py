"""Whether common bars prove that two names are one instrument."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backfill.domain.renames import divisor_between, prove_rename

MINUTE_MS = 60_000


def bars(count: int, *, own: float, shared: float = 1e-3, seed: int = 1) -> pd.DataFrame:
    """A market of one price, moved by what all coins share and by a noise of its ``own``."""
    mine, everyone = np.random.default_rng(seed), np.random.default_rng(0)
    moves = everyone.normal(0, shared, count) + mine.normal(0, own, count)
    close = np.exp(np.cumsum(moves))
    first = np.concatenate(([1.0], close[:-1]))
    return pd.DataFrame(
        {
            "open_ms": np.arange(count) * MINUTE_MS,
            "open": first,
            "high": np.maximum(first, close) * 1.0002,
            "low": np.minimum(first, close) * 0.9998,
            "close": close,
            "volume": mine.lognormal(6, 1, count),
        }
    )


@pytest.mark.parametrize(("count", "ok"), [(29, None), (30, True), (300, True)])
def test_thirty_bars_of_two_books_of_one_coin_are_enough(count: int, ok: bool | None) -> None:
    one = bars(count, own=0)
    other = bars(count, own=0, seed=2)
    assert prove_rename(one, other, step_ms=MINUTE_MS).ok is ok


@pytest.mark.parametrize("count", [30, 120, 1000])
def test_a_coin_that_follows_another_at_the_same_price_is_another_coin(count: int) -> None:
    one, other = bars(count, own=5e-4, seed=3), bars(count, own=5e-4, seed=4)
    moves = [np.diff(np.log(frame["close"])) for frame in (one, other)]
    assert np.corrcoef(*moves)[0, 1] > 0.6, "as real coins do"

    proof = prove_rename(one, other, step_ms=MINUTE_MS)

    assert proof.ok is False
    assert f"of {count:,} bars in common agree" in proof.reason


def test_the_same_record_is_proved_though_its_price_stands_still() -> None:
    still = bars(60, own=0, shared=0).assign(high=1.001, low=0.999)
    assert prove_rename(still, still, step_ms=MINUTE_MS).ok is True
    assert prove_rename(still, still.assign(volume=still["volume"] * 1.5), step_ms=MINUTE_MS).ok is False


@pytest.mark.parametrize(
    ("old", "new", "divisor"),
    [("MATIC", "POL", 1), ("1000BONK", "BONK", 1000), ("BONK", "1000BONK", 0.001), ("10000SATS", "1000SATS", 10)],
)
def test_names_say_by_what_prices_are_divided(old: str, new: str, divisor: float) -> None:
    assert divisor_between(old, new) == divisor

"""A series whose source has rescaled it is told from one with corrections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backfill.domain.splits import Split, explained, rescaled

MINUTE_MS = 60_000
T0 = 1_772_000_000_000 - 1_772_000_000_000 % MINUTE_MS
NOW_MS = T0 + 1000 * MINUTE_MS


def bars(count: int = 300, *, scale: float = 1.0, from_bar: int = 0, digits: int = 2) -> dict[str, Any]:
    closes = scale * 200 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 1e-3, count)))
    columns = {"open": closes * 1.0002, "high": closes * 1.001, "low": closes * 0.999, "close": closes}
    open_ms = T0 + np.arange(count, dtype=np.int64) * MINUTE_MS
    return {
        "open_ms": open_ms[from_bar:],
        **{name: np.round(column, digits)[from_bar:] for name, column in columns.items()},
    }


def mixed(stored: dict[str, Any], given: dict[str, Any], from_bar: int) -> dict[str, Any]:
    """The first bars of one, then those of the other."""
    return {name: np.concatenate([stored[name][:from_bar], given[name][from_bar:]]) for name in stored}


@pytest.mark.parametrize(("ratio", "digits"), [(4, 2), (1.5, 2), (1.05, 2), (0.1, 2), (20, 4), (1.02, 2)])
def test_one_ratio_over_all_common_bars_is_a_split(ratio: float, digits: int) -> None:
    split = rescaled(bars(), bars(400, scale=1 / ratio, from_bar=100, digits=digits), NOW_MS)
    assert split == Split(pytest.approx(ratio), T0 + 299 * MINUTE_MS, NOW_MS)


def test_a_split_seen_late_is_placed_between_the_last_old_bar_and_the_first_new_one() -> None:
    new = bars(scale=0.25)
    assert rescaled(mixed(bars(), new, 200), new, NOW_MS) == Split(4.0, T0 + 199 * MINUTE_MS, T0 + 200 * MINUTE_MS)


def test_neither_corrections_nor_noise_nor_few_bars_are_a_split() -> None:
    true, wrong = bars(), bars(scale=4)
    assert rescaled(true, bars(), NOW_MS) is None
    assert rescaled(true, bars(scale=1.003), NOW_MS) is None  # another price, such as a bid
    assert rescaled(mixed(true, wrong, 250), true, NOW_MS) is None  # the newer ones at another scale
    assert rescaled(bars(9), bars(9, scale=0.25), NOW_MS) is None
    noisy = {
        name: column * (1 if name == "open_ms" else 1.3 + 0.3 * np.sin(np.arange(300))) for name, column in true.items()
    }
    assert rescaled({**noisy, "open_ms": true["open_ms"]}, true, NOW_MS) is None
    assert rescaled({**bars(0)}, true, NOW_MS) is None


def test_a_corrected_bar_hides_no_split() -> None:
    stored = bars()
    stored["close"][7] *= 1.01
    stored["high"][7] *= 1.01
    assert rescaled(stored, bars(scale=0.25), NOW_MS) is not None


def test_a_split_explains_a_change_of_its_size_at_its_time() -> None:
    split, hour = Split(4.0, T0, T0 + 60 * MINUTE_MS), 60 * MINUTE_MS
    change = -float(np.log(4)) + 0.01
    assert explained([split], T0, T0 + hour, change, 0.02)
    assert explained([split], T0 - hour, T0 + 1, change, 0.02)
    assert not explained([split], T0, T0 + hour, change, 0.005)
    assert not explained([split], T0, T0 + hour, -change, 0.02)
    assert not explained([split], T0 + hour, T0 + 2 * hour, change, 0.02)
    assert not explained([split], T0 - hour, T0, change, 0.02)
    assert str(split).startswith("4:1 between 2026-")
    assert str(Split(0.1, T0, T0)).startswith("1:10 ")

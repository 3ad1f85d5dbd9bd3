"""Rows of a page that have the numbers of a held bar which the page leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from backfill.domain.candle_columns import CANDLE_COLUMNS, CandleFrame
from backfill.domain.shifted_rows import held_rows, shifted_rows

BARS = 60
HELD = CandleFrame({name: np.arange(BARS) + place / 10.0 for place, name in enumerate(CANDLE_COLUMNS)}).with_columns(
    open_ms=60_000 * np.arange(BARS), high=np.arange(BARS) + 0.9, quote_volume=np.full(BARS, np.nan)
)


def moved(first: int, past: int, by: int, held: CandleFrame = HELD) -> CandleFrame:
    """The held bars, of which some stand ``by`` bars later, over the ones there."""
    own = np.arange(BARS)
    theirs = own[first:past]
    stays = own[~np.isin(own, theirs) & ~np.isin(own, theirs + by)]
    bars = np.concatenate([stays, theirs])
    order = np.argsort(np.concatenate([stays, theirs + by]))
    return held.rows(bars[order]).with_columns(open_ms=60_000 * np.concatenate([stays, theirs + by])[order])


@pytest.mark.parametrize(
    ("first", "past", "by", "left_out"),
    [
        pytest.param(30, 40, -10, range(30, 40), id="a block over the one before it"),
        pytest.param(30, 40, 10, range(30, 40), id="a block over the one after it"),
        pytest.param(30, 40, -2, range(38, 40), id="a block moved by less than its length leaves out its end"),
        pytest.param(30, 31, 1, range(30, 31), id="one row"),
    ],
)
def test_rows_of_held_bars_that_the_page_leaves_out_are_shifted(
    first: int, past: int, by: int, left_out: range
) -> None:
    page = moved(first, past, by)
    assert (page["open_ms"][shifted_rows(page, HELD)] // 60_000).tolist() == [bar + by for bar in left_out]
    known = page["open_ms"][held_rows(page, HELD)] // 60_000
    assert known.tolist() == sorted(set(range(BARS)) - set(range(first, past)) - set(range(first + by, past + by)))


def test_a_revision_beside_a_bar_that_is_gone_is_no_shift() -> None:
    revised = HELD.with_columns(close=np.where(np.arange(BARS) % 7 == 0, HELD["close"] + 0.01, HELD["close"]))
    page = revised.rows(np.arange(BARS) % 10 != 3)
    assert not shifted_rows(page, HELD).any()
    assert not shifted_rows(HELD.rows(slice(0, 20)), HELD).any()


def test_a_bar_of_one_price_is_no_evidence() -> None:
    still = {name: np.full(BARS, 5.0) for name in ("open", "high", "low", "close", "volume")}
    page = moved(30, 40, -10).with_columns(**{name: values[:50] for name, values in still.items()})
    flat_at_40 = {name: np.where(np.arange(BARS) < 30, HELD[name], 5.0) for name in still}
    assert not shifted_rows(page, HELD.with_columns(**flat_at_40)).any()


def test_bars_that_a_series_of_coarse_ticks_repeats_are_no_evidence() -> None:
    coarse = {name: HELD[name] % 4 for name in ("open", "high", "low", "close")}
    mark_prices = HELD.with_columns(**coarse, volume=np.full(BARS, np.nan))
    assert shifted_rows(moved(30, 40, -2), HELD).any()
    assert not shifted_rows(moved(30, 40, -2, mark_prices), mark_prices).any()

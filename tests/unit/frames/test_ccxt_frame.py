"""A venue's rows as candles of ours."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.candle_columns import CANDLE_COLUMNS, FLAG_COLUMNS
from backfill.domain.candle_rules import sift
from backfill.domain.timeframes import TIMEFRAMES
from backfill.exchanges.ccxt_rows import CcxtRow
from backfill.frames.ccxt_frame import ccxt_frame as numpy_frame

SINCE_MS = 1_700_000_040_000
MINUTE = TIMEFRAMES["1m"]


def row(**cells: Any) -> CcxtRow:
    whole = CcxtRow(SINCE_MS, 2.0, 4.0, 1.0, 3.0, 10.0, "25.5", True, ["as it came"])
    return whole._replace(**cells)


def ccxt_frame(rows, **scales: float):
    return numpy_frame(rows, **scales).to_pandas()


def test_a_row_becomes_a_candle():
    frame = ccxt_frame([row()])
    assert list(frame.columns) == [*CANDLE_COLUMNS, *FLAG_COLUMNS]
    assert frame.iloc[0].to_dict() == {
        "open_ms": SINCE_MS,
        "open": 2,
        "high": 4,
        "low": 1,
        "close": 3,
        "volume": 10,
        "quote_volume": 25.5,
        "closed": True,
        "malformed": False,
    }


def test_prices_and_coins_are_scaled_and_what_was_paid_is_not():
    """Binance's 1000SATS as Blofin's 10000SATS: ten times the price, a tenth of the volume."""
    frame = ccxt_frame([row()], price_scale=10, volume_scale=0.1)
    assert frame[CANDLE_COLUMNS].iloc[0].tolist() == [SINCE_MS, 20, 40, 10, 30, 1, 25.5]


def test_contracts_become_coins():
    frame = ccxt_frame([row(volume=354_348)], volume_scale=0.001)  # KuCoin: 0.001 BTC a contract
    assert frame["volume"].iloc[0] == 354.348


@pytest.mark.parametrize("told", [0.0123, 4567.89, 0.1, 7e-9, 0.30000000000000004])
@pytest.mark.parametrize("scale", [0.001, 0.0001, 1e-06, 0.1])
def test_a_thousandth_is_the_float_nearest_to_the_decimal_that_was_told(told, scale):
    frame = ccxt_frame([row(open=told, high=told, low=told, close=told)], price_scale=scale)
    assert frame["close"].iloc[0] == told / round(1 / scale)


@pytest.mark.parametrize("quote_volume", [None, ""])
def test_a_quote_volume_that_is_not_told_is_unknown_and_never_zero(quote_volume):
    frame = ccxt_frame([row(quote_volume=quote_volume)])
    assert math.isnan(frame["quote_volume"].iloc[0])
    assert not frame["malformed"].any()


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume", "open_ms"])
@pytest.mark.parametrize("cell", [None, math.nan, math.inf])
def test_an_empty_cell_where_there_must_be_one_marks_its_row_and_no_other(name, cell):
    """ccxt makes None of text and a float of "NaN": neither is a blank."""
    frame = ccxt_frame([row(), row(**{name: cell}), row()], price_scale=10, volume_scale=2)
    assert list(frame["malformed"]) == [False, True, False]
    sound, broken = sift(numpy_frame([row(), row(**{name: cell})]), MINUTE)
    assert (len(sound), [one.place for one in broken]) == (1, [1])


def test_a_quote_volume_that_is_no_number_marks_its_row():
    assert list(ccxt_frame([row(quote_volume="a lot")])["malformed"]) == [True]


def test_a_bar_that_the_venue_says_is_running_is_not_closed():
    assert list(ccxt_frame([row(closed=False), row()])["closed"]) == [False, True]


def test_no_rows_are_an_empty_frame():
    frame = ccxt_frame([], price_scale=10)
    assert list(frame.columns) == [*CANDLE_COLUMNS, *FLAG_COLUMNS]
    assert len(frame) == 0


CELLS = st.none() | st.floats() | st.integers()


@given(st.lists(st.tuples(*[CELLS] * 6), max_size=5))
def test_whatever_ccxt_reads_there_is_one_candle_a_row_in_its_order(cells):
    rows = [CcxtRow(*six, None, True, six) for six in cells]  # type: ignore[arg-type]
    frame = ccxt_frame([*rows, row()], price_scale=0.001, volume_scale=1000)
    assert list(frame.index) == list(range(len(rows) + 1))
    assert not frame["malformed"].iloc[-1]

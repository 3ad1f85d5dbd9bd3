"""Cells as a source sends them, and what becomes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.candle_columns import CANDLE_COLUMNS, EARLIEST_MS, FLAG_COLUMNS, LATEST_MS
from backfill.frames.candle_frame import frame_of, numbers

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def read(cell: object) -> tuple[float, bool]:
    """The cell's value and whether it is malformed, read among others of its column, decimal ones and mixed ones."""
    values, malformed = numbers(["1.5", cell, "2"])
    among_mixed, malformed_there = numbers(["1.5", cell, None])
    assert (values.dtype, values[0], list(malformed[[0, 2]])) == ("float64", 1.5, [False, False])
    assert np.array_equal(values[:2], among_mixed[:2], equal_nan=True)
    assert np.array_equal(malformed, malformed_there)
    return float(values[1]), bool(malformed[1])


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=0, max_value=10**12))
def test_decimal_text_becomes_the_nearest_float(decimal):
    assert read(f"{decimal:f}") == (float(decimal), False)


@given(FINITE)
def test_a_number_stays_what_it_is(value):
    assert read(value) == read(repr(value)) == (value, False)


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_stays_what_it_is(value):
    assert read(value) == read(str(value)) == (value, False)


@pytest.mark.parametrize("blank", [None, "", math.nan])
def test_a_blank_is_missing_but_not_malformed(blank):
    value, malformed = read(blank)
    assert math.isnan(value)
    assert not malformed


@pytest.mark.parametrize(
    "cell",
    [
        *("NaN", "nan", "inf", "-inf", "Infinity", "1e400", math.inf, 10**400),
        *("null", "None", "abc", " ", "1,5", "1.5.5", "1_000", "0x10", "\u0661", "\x00", "1e", "+", "1-2", "1 "),
        *(True, False, [], ["1"], [["1"]], {}, {"price": "1"}),
    ],
    ids=repr,
)
def test_what_is_no_finite_number_is_malformed_and_has_no_value(cell):
    value, malformed = read(cell)
    assert math.isnan(value)
    assert malformed


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(JSON, max_size=8))
def test_no_column_of_json_raises_and_no_value_is_infinite(cells):
    values, malformed = numbers(cells)
    assert len(values) == len(malformed) == len(cells)
    assert not np.isinf(values).any()
    assert np.isnan(values[malformed]).all()


@pytest.mark.parametrize(
    ("open_ms", "is_time"),
    [
        (0, False),
        (-60_000, False),
        (1_700_000_040, False),  # seconds
        (1_700_000_040_000_000, False),  # microseconds
        (EARLIEST_MS - 1, False),
        (EARLIEST_MS, True),
        (1_700_000_040_000, True),
        (LATEST_MS, True),
        (LATEST_MS + 1, False),
        ("1e30", False),
    ],
)
def test_an_open_time_that_no_market_can_have_had_is_no_open_time(open_ms, is_time):
    frame = frame_of({name: [open_ms if name == "open_ms" else "1"] for name in CANDLE_COLUMNS}, closed=[True])
    frame = frame.to_pandas()
    assert list(frame["open_ms"].notna()) == [is_time]
    assert list(frame["malformed"]) == [not is_time]
    assert list(frame["close"]) == [1.0]


def test_a_frame_has_its_columns_and_types_whatever_there_is_in_it():
    cells = {name: ["1700000040000"] for name in CANDLE_COLUMNS}
    for frame in (
        frame_of(cells, closed=[False]),
        frame_of({name: [] for name in cells}, closed=[]),
        frame_of(cells | {"quote_volume": [None]}, closed=[True]),
    ):
        assert list(frame.to_pandas().columns) == [*CANDLE_COLUMNS, *FLAG_COLUMNS]
        assert {str(frame[name].dtype) for name in CANDLE_COLUMNS} == {"float64"}
        assert {str(frame[name].dtype) for name in FLAG_COLUMNS} == {"bool"}

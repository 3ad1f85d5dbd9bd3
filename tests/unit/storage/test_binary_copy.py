"""Pages as the bytes that Postgres reads."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.storage.binary_copy import FLOAT8, INT2, INT4, INT8, Column, candle_columns, packed, page_columns

T0 = 1_763_601_420_000
NUMBERS = ("open", "high", "low", "close", "volume", "quote_volume")
FORMATS = {INT2: "h", INT4: "i", INT8: "q", FLOAT8: "d"}
ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=False)


def decoded(data: bytes, wire_types: Sequence[str]) -> list[tuple[float, ...]]:
    """The rows of a binary COPY, read as PostgreSQL's documentation has it, field by field."""
    signature, flags, extension = struct.unpack_from("!11sII", data)
    assert (signature, flags, extension) == (b"PGCOPY\n\xff\r\n\x00", 0, 0)
    place, rows = 19, []
    while (count := struct.unpack_from("!h", data, place)[0]) != -1:
        assert count == len(wire_types)
        place += 2
        row = []
        for wire_type in wire_types:
            (width,) = struct.unpack_from("!i", data, place)
            row.append(struct.unpack_from("!" + FORMATS[wire_type], data, place + 4)[0])
            assert width == struct.calcsize("!" + FORMATS[wire_type])
            place += 4 + width
        rows.append(tuple(row))
    assert place + 2 == len(data)
    return rows


def frame(rows: Sequence[Sequence[float]]) -> pd.DataFrame:
    """Candles one minute apart with these numbers."""
    columns = {name: [float(row[place]) for row in rows] for place, name in enumerate(NUMBERS)}
    return pd.DataFrame({"open_ms": np.arange(len(rows), dtype="int64") * 60_000 + T0, **columns})


def same(left: Sequence[float], right: Sequence[float]) -> bool:
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(left, right, strict=True))


@given(st.lists(st.lists(ANY_FLOAT, min_size=6, max_size=6), max_size=6))
def test_a_page_decodes_to_what_went_in(rows):
    columns = page_columns(frame(rows))
    assert [column.name for column in columns] == ["open_time", *NUMBERS]
    told = decoded(packed(columns, len(rows)), [column.wire_type for column in columns])
    assert len(told) == len(rows)
    for place, (row, (open_time, *numbers)) in enumerate(zip(rows, told, strict=True)):
        at = datetime(2000, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=open_time)
        assert at.timestamp() * 1000 == T0 + place * 60_000
        assert same(row, numbers)


@pytest.mark.parametrize("iso", ["1970-01-01T00:00:00+00:00", "1999-12-31T23:59:00+00:00", "2026-01-01T00:00:00+00:00"])
def test_times_before_and_after_postgres_own_epoch_are_the_same_times(iso):
    at = datetime.fromisoformat(iso)
    candle = frame([[1] * 6]).assign(open_ms=[round(at.timestamp() * 1000)])
    ((open_time, *_),) = decoded(packed(page_columns(candle), 1), [INT8, *[FLOAT8] * 6])
    assert timedelta(microseconds=open_time) == at - datetime(2000, 1, 1, tzinfo=timezone.utc)


def test_no_rows_are_a_file_without_rows():
    assert decoded(packed(page_columns(frame([])), 0), [INT8]) == []


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**15), 2**15 - 1))
def test_one_value_for_a_column_stands_in_every_row(series_id, source_id):
    columns = [Column("series_id", INT4, series_id), Column("source_id", INT2, source_id)]
    assert decoded(packed(columns, 3), [INT4, INT2]) == [(series_id, source_id)] * 3


NAN = math.nan


@pytest.mark.parametrize(
    ("volumes", "left_out"),
    [
        ([(5, 50), (6, 60)], set()),
        ([(0, 0)], set()),
        ([(5, NAN), (6, NAN)], {"quote_volume"}),
        ([(NAN, NAN)], {"volume", "quote_volume"}),
    ],
)
def test_a_volume_that_nobody_knows_is_left_out_of_the_table(volumes, left_out):
    candles = frame([(1, 2, 0.5, 1.5, *pair) for pair in volumes])
    columns = candle_columns(candles, series_id=7, source_id=3)
    assert [column.name for column in columns] == [
        *("series_id", "source_id", "open_time"),
        *(name for name in NUMBERS if name not in left_out),
    ]
    rows = decoded(packed(columns, len(candles)), [column.wire_type for column in columns])
    for row, pair in zip(rows, volumes, strict=True):
        known = [value for value in pair if not math.isnan(value)]
        assert row[:2] == (7, 3)
        assert row[3:] == (1, 2, 0.5, 1.5, *known)


@pytest.mark.parametrize("volumes", [[(5, 50), (6, NAN)], [(NAN, 50), (6, 60)]])
def test_a_volume_that_is_known_of_some_bars_only_cannot_go_the_quick_way(volumes):
    assert candle_columns(frame([(1, 2, 0.5, 1.5, *pair) for pair in volumes]), series_id=7, source_id=3) is None

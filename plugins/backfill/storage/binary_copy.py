"""Rows as the bytes of Postgres's binary COPY, packed by numpy instead of row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

# PostgreSQL docs, COPY, "Binary Format": signature, flags, length of the header's extension; -1 ends the rows.
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
# timestamptz counts microseconds from 2000-01-01 UTC.
POSTGRES_EPOCH_MS = 946_684_800_000
INT2, INT4, INT8, FLOAT8 = ">i2", ">i4", ">i8", ">f8"
PRICES = ("open", "high", "low", "close")
VOLUMES = ("volume", "quote_volume")
# The rows of select_candles.
CANDLE_WIRE_TYPES = (("open_ms", INT8), *((name, FLOAT8) for name in (*PRICES, *VOLUMES)), ("source_id", INT2))


class Column(NamedTuple):
    """One column of a COPY: its name, its type on the wire, its values (one value: the same in every row)."""

    name: str
    wire_type: str
    values: ArrayLike


def packed(columns: Sequence[Column], rows: int) -> bytes:
    """The file that COPY reads. Every value has a fixed width, so there is no NULL: NaN stays NaN."""
    fields = [("columns", INT2)]
    for name, wire_type, _ in columns:
        fields += [(f"{name} width", INT4), (name, wire_type)]
    table = np.empty(rows, dtype=np.dtype(fields))
    table["columns"] = len(columns)
    for name, wire_type, values in columns:
        table[f"{name} width"] = np.dtype(wire_type).itemsize
        table[name] = values
    return HEADER + table.tobytes() + TRAILER


def unpacked(file: bytes, columns: Sequence[tuple[str, str]]) -> dict[str, NDArray[Any]]:
    """The columns (names and wire types, in order) of a file that COPY has written; there must be no NULL in it."""
    fields = [("columns", INT2)]
    for name, wire_type in columns:
        fields += [(f"{name} width", INT4), (name, wire_type)]
    row = np.dtype(fields)
    table = np.frombuffer(file, row, count=(len(file) - len(HEADER) - len(TRAILER)) // row.itemsize, offset=len(HEADER))
    return {name: table[name].astype(np.dtype(wire_type).newbyteorder("=")) for name, wire_type in columns}


def page_columns(candles: pd.DataFrame) -> list[Column]:
    """``candles`` (columns of ``frames.candle_frame``, ``open_ms`` whole) as the columns of ``page_rows``."""
    open_time = (candles["open_ms"].to_numpy() - POSTGRES_EPOCH_MS) * 1000
    numbers = [Column(name, FLOAT8, candles[name].to_numpy()) for name in (*PRICES, *VOLUMES)]
    return [Column("open_time", INT8, open_time), *numbers]


def candle_columns(candles: pd.DataFrame, series_id: int, source_id: int) -> list[Column] | None:
    """``candles`` as columns of the table itself, an unknown volume left out, which makes it NULL.

    None where a volume is known of some bars only: fixed widths cannot say that.
    """
    columns = [Column("series_id", INT4, series_id), Column("source_id", INT2, source_id)]
    for column in page_columns(candles):
        unknown = _unknown(column)
        if unknown.all():
            continue
        if unknown.any():
            return None
        columns.append(column)
    return columns


def _unknown(column: Column) -> NDArray[np.bool_]:
    if column.name not in VOLUMES:
        return np.zeros(1, dtype=np.bool_)
    unknown: NDArray[np.bool_] = np.isnan(np.asarray(column.values, dtype=np.float64))
    return unknown

"""Rows in Postgres's binary COPY format, columns as its binary arrays, packed by numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from backfill.domain.candle_columns import CandleFrame

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# PostgreSQL docs, COPY, "Binary Format": signature, flags, extension length; -1 ends the rows.
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
# timestamptz counts microseconds from 2000-01-01 UTC.
POSTGRES_EPOCH_MS = 946_684_800_000
INT2, INT4, INT8, FLOAT8 = ">i2", ">i4", ">i8", ">f8"
PRICES = ("open", "high", "low", "close")
VOLUMES = ("volume", "quote_volume")
CANDLE_WIRE_TYPES = (("open_ms", INT8), *((name, FLOAT8) for name in (*PRICES, *VOLUMES)), ("source_id", INT2))


# PostgreSQL's pg_type: element, array.
_ARRAY_TYPES = {
    "int2": (21, 1005),
    "int4": (23, 1007),
    "int8": (20, 1016),
    "float8": (701, 1022),
    "timestamptz": (1184, 1185),
}
_WIRE_TYPES = {"int2": INT2, "int4": INT4, "int8": INT8, "float8": FLOAT8, "timestamptz": INT8}


class Column(NamedTuple):
    """One column; a scalar in ``values`` fills every row."""

    name: str
    wire_type: str
    values: ArrayLike


def packed(columns: Sequence[Column], rows: int) -> bytes:
    """Input for COPY. Fixed widths exclude NULL: NaN stays NaN."""
    fields = [("columns", INT2)]
    for name, wire_type, _ in columns:
        fields += [(f"{name} width", INT4), (name, wire_type)]
    table = np.empty(rows, dtype=np.dtype(fields))
    table["columns"] = len(columns)
    for name, wire_type, values in columns:
        table[f"{name} width"] = np.dtype(wire_type).itemsize
        table[name] = values
    return HEADER + table.tobytes() + TRAILER


def unpacked(rows: bytes, columns: Sequence[tuple[str, str]]) -> dict[str, NDArray[Any]]:
    """The columns (names and wire types, in order) of ``rows``, which are their values and nothing else."""
    table = np.frombuffer(rows, np.dtype(list(columns)))
    return {name: table[name].astype(np.dtype(wire_type).newbyteorder("=")) for name, wire_type in columns}


class PackedArray(bytes):
    """A query's parameter: an array without NULLs, as Postgres sends it."""


def packed_array(values: ArrayLike, type_name: str) -> PackedArray:
    """``values`` of one Postgres type, far faster than a list; NaN stays NaN."""
    wire_type = np.dtype(_WIRE_TYPES[type_name])
    table = np.empty(len(np.asarray(values)), dtype=np.dtype([("width", INT4), ("value", wire_type)]))
    table["width"], table["value"] = wire_type.itemsize, values
    head = np.array([1, 0, _ARRAY_TYPES[type_name][0], len(table), 1], dtype=INT4)
    return _CLASSES[type_name](head.tobytes() + table.tobytes())


def page_arrays(candles: CandleFrame) -> dict[str, PackedArray]:
    """``candles`` (integer ``open_ms``) as parameters named like their columns."""
    return {
        column.name: packed_array(column.values, "timestamptz" if column.name == "open_time" else "float8")
        for column in page_columns(candles)
    }


def page_columns(candles: CandleFrame) -> list[Column]:
    """``candles`` (integer ``open_ms``) as columns of ``page_rows``."""
    open_time = (candles["open_ms"] - POSTGRES_EPOCH_MS) * 1000
    numbers = [Column(name, FLOAT8, candles[name]) for name in (*PRICES, *VOLUMES)]
    return [Column("open_time", INT8, open_time), *numbers]


def candle_columns(candles: CandleFrame, series_id: int, source_id: int) -> list[Column] | None:
    """Columns of the table ``candles``, without a volume that is unknown, hence NULL.

    None if only some rows lack it.
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


def _class_for(type_name: str) -> type[PackedArray]:
    """One class per type: psycopg finds a parameter's type by its class."""

    class ArrayDumper(Dumper):
        oid = _ARRAY_TYPES[type_name][1]
        format = Format.BINARY

        def dump(self, obj: PackedArray) -> bytes:
            return bytes(obj)

    found = type(f"{type_name}_array", (PackedArray,), {})
    psycopg.adapters.register_dumper(found, ArrayDumper)
    return found


_CLASSES = {name: _class_for(name) for name in _ARRAY_TYPES}

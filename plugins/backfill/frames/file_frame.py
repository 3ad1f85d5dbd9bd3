"""A file's text as an unchecked candle frame: any header, common delimiter and unit of time."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from backfill.domain.candle_columns import CANDLE_COLUMNS, CandleFrame
from backfill.errors import CandleFileRefused
from backfill.frames.candle_frame import frame_of

ALIASES = {
    "open_ms": ("ts_ms", "open_time", "timestamp", "open_ms", "time", "ts", "date", "datetime"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "v", "base_volume", "vol"),
    "quote_volume": ("quote_volume", "quote_asset_volume", "quote_vol"),
    "source": ("source",),
}
# Without a header, by the number of columns; twelve are Binance's klines.
POSITIONS = {6: CANDLE_COLUMNS[:6], 7: CANDLE_COLUMNS[:7], 12: (*CANDLE_COLUMNS[:6], None, "quote_volume")}
# Open times of this size or more are in that unit; all are after 1973.
UNITS = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0), (0, 1e3))


class FileRows(NamedTuple):
    """``frame``: see :func:`frame_of`. ``sources``: one a row, if the file has them."""

    frame: CandleFrame
    raw: list[list[str]]
    sources: list[str] | None
    is_in_us: bool


def read_rows(name: str, content: bytes) -> FileRows:
    """The rows of a CSV. Raises :class:`CandleFileRefused` with the reason on one line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CandleFileRefused(name, "it is no text in UTF-8") from error
    first = text.partition("\n")[0]
    delimiter = max(";\t,", key=first.count)
    try:
        rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter, strict=True) if row]
    except csv.Error as error:
        raise CandleFileRefused(name, f"it is no CSV: {error}") from error
    if not rows:
        raise CandleFileRefused(name, "it is empty")
    columns, rows = _columns(name, rows)
    width = max(columns.values()) + 1
    if any(len(row) < width for row in rows):
        line = next(place for place, row in enumerate(rows) if len(row) < width)
        raise CandleFileRefused(name, f"row {line + 1} of its candles has {len(rows[line])} columns; it may be cut off")
    if delimiter == ";":  # as written where the comma is the decimal point
        rows = [[cell.replace(",", ".") for cell in row] for row in rows]
    cells = {ours: [row[place].strip() for row in rows] for ours, place in columns.items()}
    times, is_in_us = _epoch_ms(cells["open_ms"])
    blank = [""] * len(rows)
    frame = frame_of(
        {ours: times if ours == "open_ms" else cells.get(ours, blank) for ours in CANDLE_COLUMNS}, [True] * len(rows)
    )
    return FileRows(frame, rows, cells.get("source"), is_in_us)


def read_parquet(name: str, content: bytes) -> FileRows:
    import io

    try:
        table = pd.read_parquet(io.BytesIO(content))
    except ImportError as error:
        raise CandleFileRefused(name, "Parquet needs a library: pip install pyarrow") from error
    except (OSError, ValueError) as error:
        raise CandleFileRefused(name, f"it is no Parquet: {error}") from error
    text = table.to_csv(index=False, float_format=None)
    return read_rows(name, text.encode())


def _columns(name: str, rows: list[list[str]]) -> tuple[dict[str, int], list[list[str]]]:
    header = [cell.strip().lower().replace(" ", "_") for cell in rows[0]]
    if re.match(r"[0-9]", header[0]):
        by_position = POSITIONS.get(len(header))
        if by_position is None:
            raise CandleFileRefused(name, f"it has no header, and {len(header)} columns instead of 6, 7 or 12")
        return {ours: place for place, ours in enumerate(by_position) if ours}, rows
    columns: dict[str, int] = {}
    for ours, names in ALIASES.items():
        known = [header.index(one) for one in names if one in header]
        if known:
            columns[ours] = known[0]
    missing = [ours for ours in CANDLE_COLUMNS if ours not in columns and ours != "quote_volume"]
    if missing:
        needed = ", ".join("open time" if ours == "open_ms" else ours for ours in missing)
        raise CandleFileRefused(name, f"its header has no {needed}")
    return columns, rows[1:]


def _epoch_ms(cells: Sequence[str]) -> tuple[list[float | str], bool]:
    """Open times in ms, from numbers in any unit or ISO 8601; blank: none."""
    numeric = [cell for cell in cells if re.fullmatch(r"-?[0-9]+(\.[0-9]*)?", cell)]
    if len(numeric) * 2 < len(cells):
        return [_iso_ms(cell) for cell in cells], False
    size = float(np.median([abs(float(cell)) for cell in numeric])) if numeric else 0.0
    scale = next(factor for least, factor in UNITS if size >= least)
    if scale == 1:
        return list(cells), False
    known = {*numeric}
    return [float(cell) * scale if cell in known else cell for cell in cells], scale == 1e-3


def _iso_ms(cell: str) -> float:
    at = pd.to_datetime(cell, utc=True, errors="coerce", format="ISO8601")
    return math.inf if pd.isna(at) else at.timestamp() * 1000

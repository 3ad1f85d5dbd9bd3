"""The shape that every source's rows take: a table of candles, one row a bar."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backfill.domain.candle_columns import CANDLE_COLUMNS, EARLIEST_MS, LATEST_MS, PRICES

# Python takes more than these for numbers: "nan", "1_000", " 1", digits of other scripts.
_DECIMALS = re.compile(r"[0-9.eE+-]*")


def numbers(cells: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Text or numbers as floats, and a mask of what is there but is no finite number; that and a blank are NaN."""
    values = _decimals(cells)
    if values is None:
        values = np.array([_number(cell) for cell in cells], dtype=np.float64)
    malformed = np.isinf(values)
    values[malformed] = np.nan
    return values, malformed


def _decimals(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """The quick way, for a column of nothing but decimal text; None for any other."""
    try:
        return np.array(cells, dtype=np.float64) if _DECIMALS.fullmatch("".join(cells)) else None
    except (TypeError, ValueError):
        return None


def _number(cell: Any) -> float:
    """One cell: NaN is a blank, infinity is no number."""
    if cell is None or cell == "":
        return math.nan
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return math.inf
    if isinstance(cell, str) and not _DECIMALS.fullmatch(cell):
        return math.inf
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.inf


def frame_of(columns: dict[str, Sequence[Any]], closed: Sequence[bool]) -> pd.DataFrame:
    """An unchecked frame, its index the rows' places in the answer. ``columns``: raw values by candle column."""
    parsed: dict[str, NDArray[np.float64]] = {}
    malformed = np.zeros(len(closed), dtype=bool)
    for name in CANDLE_COLUMNS:
        parsed[name], broken = numbers(columns[name])
        malformed |= broken
    open_ms = parsed["open_ms"]
    no_time = (open_ms < EARLIEST_MS) | (open_ms > LATEST_MS)
    open_ms[no_time] = np.nan
    return pd.DataFrame({**parsed, "closed": np.array(closed, dtype=bool), "malformed": malformed | no_time})


def scaled(frame: pd.DataFrame, price_scale: float, volume_scale: float) -> pd.DataFrame:
    """``frame`` in the instrument's own denomination: contracts become coins, coins of another unit ours.

    What was paid is the same in both, so the quote volume stays.
    """
    frame[PRICES] = _times(frame[PRICES], price_scale)
    frame["volume"] = _times(frame["volume"], volume_scale)
    return frame


def _times(values: Any, scale: float) -> Any:
    """A thousandth is divided by a thousand, which gives the nearest float to the decimal that was sent."""
    if scale == 1:
        return values
    whole = round(1 / scale)
    return values / whole if whole > 1 and math.isclose(whole * scale, 1, rel_tol=1e-12) else values * scale

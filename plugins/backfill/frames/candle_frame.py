"""Build a table of candles from any source's rows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backfill.domain.candle_columns import CANDLE_COLUMNS, EARLIEST_MS, LATEST_MS, PRICES, CandleFrame

# Python accepts "nan", "1_000", " 1" and digits of other scripts.
_DECIMALS = re.compile(r"[0-9.eE+-]*")
_NUMBERS = {int, float}


def numbers(cells: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cells as floats, NaN if blank or no finite number, and a mask of the latter."""
    values = _plain_numbers(cells)
    if values is None:
        values = np.array([_number(cell) for cell in cells], dtype=np.float64)
    malformed = np.isinf(values)
    values[malformed] = np.nan
    return values, malformed


def _plain_numbers(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """Fast path for decimal text only, or numbers only."""
    try:
        if set(map(type, cells)) <= _NUMBERS or _DECIMALS.fullmatch("".join(cells)):
            return np.array(cells, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    return None


def _number(cell: Any) -> float:
    """One cell: NaN if blank, infinity if no number."""
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


def frame_of(columns: dict[str, Sequence[Any]], closed: Sequence[bool]) -> CandleFrame:
    """An unchecked frame of raw ``columns``; a row keeps its place in the answer."""
    parsed: dict[str, NDArray[np.float64]] = {}
    malformed = np.zeros(len(closed), dtype=bool)
    for name in CANDLE_COLUMNS:
        parsed[name], broken = numbers(columns[name])
        malformed |= broken
    open_ms = parsed["open_ms"]
    no_time = (open_ms < EARLIEST_MS) | (open_ms > LATEST_MS)
    open_ms[no_time] = np.nan
    return CandleFrame({**parsed, "closed": np.array(closed, dtype=bool), "malformed": malformed | no_time})


def scaled(frame: CandleFrame, price_scale: float, volume_scale: float) -> CandleFrame:
    """``frame`` in the instrument's denomination, volume in coins; the quote volume stays."""
    scales = {**dict.fromkeys(PRICES, price_scale), "volume": volume_scale}
    with np.errstate(over="ignore"):  # the rules refuse what becomes infinite
        return frame.with_columns(**{name: _times(frame[name], scale) for name, scale in scales.items()})


def _times(values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Dividing by 1000 is nearer to the decimal sent than multiplying by 0.001."""
    if scale == 1:
        return values
    whole = round(1 / scale)
    return values / whole if whole > 1 and math.isclose(whole * scale, 1, rel_tol=1e-12) else values * scale

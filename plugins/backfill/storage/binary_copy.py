"""A page of candles as the bytes of Postgres's binary COPY, packed by numpy instead of row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# PostgreSQL docs, COPY, "Binary Format": signature, flags, length of the header's extension; -1 ends the rows.
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
# timestamptz counts microseconds from 2000-01-01 UTC.
POSTGRES_EPOCH_MS = 946_684_800_000
VALUE_COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume")


def _row_type() -> np.dtype[np.void]:
    fields: list[tuple[str, str]] = [("columns", ">i2"), ("open_time_bytes", ">i4"), ("open_time", ">i8")]
    for name in VALUE_COLUMNS:
        fields += [(f"{name}_bytes", ">i4"), (name, ">f8")]
    return np.dtype(fields)


_ROW = _row_type()


def packed_candles(candles: pd.DataFrame) -> bytes:
    """``candles`` (columns of ``frames.candle_frame``, ``open_ms`` whole) for ``COPY page_rows``; NaN stays NaN."""
    rows = np.empty(len(candles), dtype=_ROW)
    rows["columns"] = 1 + len(VALUE_COLUMNS)
    rows["open_time_bytes"] = 8
    rows["open_time"] = (candles["open_ms"].to_numpy() - POSTGRES_EPOCH_MS) * 1000
    for name in VALUE_COLUMNS:
        rows[f"{name}_bytes"] = 8
        rows[name] = candles[name].to_numpy()
    return HEADER + rows.tobytes() + TRAILER

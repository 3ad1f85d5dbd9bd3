"""The shape that every source's rows take: a table of candles, one row a bar."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

PRICES = ["open", "high", "low", "close"]
VOLUMES = ["volume", "quote_volume"]
# open_ms: epoch ms (float64 while unchecked, since a broken one is NaN); volume: base units; NaN volume: unknown.
CANDLE_COLUMNS = ["open_ms", *PRICES, *VOLUMES]
# Beside them while a page is unchecked. closed: the source says that the bar is over (true where it does not say).
# malformed: a field is there but is no number.
FLAG_COLUMNS = ["closed", "malformed"]


def numbers(column: pd.Series) -> tuple[pd.Series, pd.Series]:
    """A column of text or numbers as float64, and a mask of what is there but is no finite number."""
    blank = column.isna() | (column == "")
    values = pd.to_numeric(column.where(~blank), errors="coerce").astype("float64")
    finite = values.notna() & ~values.isin([float("inf"), float("-inf")])
    return values.where(finite), ~blank & ~finite


def frame_of(columns: dict[str, Sequence[object]], closed: Sequence[bool] | pd.Series) -> pd.DataFrame:
    """An unchecked frame, its index the rows' places in the answer. ``columns``: raw values by candle column."""
    parsed: dict[str, pd.Series] = {}
    malformed = pd.Series(False, index=range(len(closed)))
    for name in CANDLE_COLUMNS:
        parsed[name], broken = numbers(pd.Series(columns[name], dtype="object"))
        malformed |= broken
    return pd.DataFrame(parsed | {"closed": pd.Series(closed, dtype="bool"), "malformed": malformed})

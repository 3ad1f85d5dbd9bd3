"""Columns of a candle frame, range of open times, and the frame itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

PRICES = ["open", "high", "low", "close"]
VOLUMES = ["volume", "quote_volume"]
# open_ms: epoch ms (unchecked: float64, NaN if broken); volume: base units, NaN if unknown.
CANDLE_COLUMNS = ["open_ms", *PRICES, *VOLUMES]
# While unchecked. closed: the bar is over, or the source does not say. malformed: a field is no valid number or time.
FLAG_COLUMNS = ["closed", "malformed"]
# 2009-01-03, Bitcoin's first block, to 2100-01-01: zero, seconds or microseconds as the oldest row would make later
# bars look absent.
EARLIEST_MS, LATEST_MS = 1_230_940_800_000, 4_102_444_800_000


class CandleColumns(Protocol):
    """Columns by name: a :class:`CandleFrame` or a pandas frame."""

    def __getitem__(self, name: str, /) -> Any: ...

    def __len__(self) -> int: ...


class CandleFrame:
    """Candles as numpy columns of one length, so that a page is cheap from the answer to COPY."""

    __slots__ = ("_columns",)

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self._columns = dict(columns)

    @classmethod
    def of(cls, candles: CandleColumns) -> CandleFrame:
        """The candle columns of any frame."""
        if isinstance(candles, cls):
            return candles
        return cls({name: np.asarray(candles[name]) for name in CANDLE_COLUMNS})

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    def __len__(self) -> int:
        return len(self._columns["open_ms"])

    def rows(self, which: NDArray[Any] | slice) -> CandleFrame:
        """Rows by mask, slice, or places in their order."""
        if isinstance(which, np.ndarray) and which.dtype == bool and which.all():
            return self
        return CandleFrame({name: values[which] for name, values in self._columns.items()})

    def with_columns(self, **columns: NDArray[Any]) -> CandleFrame:
        """A frame in which these columns are others."""
        return CandleFrame({**self._columns, **columns})

    def to_pandas(self) -> pd.DataFrame:
        """For comparisons and people; imports pandas."""
        import pandas as pd

        return pd.DataFrame(self._columns)


def same_rows(one: CandleFrame, other: CandleFrame) -> NDArray[np.bool_]:
    """Mask of places where two frames of one length have equal candles; unknown volumes are equal."""
    same = np.ones(len(one), dtype=bool)
    for name in CANDLE_COLUMNS:
        ours, theirs = one[name], other[name]
        same &= (ours == theirs) | ((ours != ours) & (theirs != theirs))
    return same

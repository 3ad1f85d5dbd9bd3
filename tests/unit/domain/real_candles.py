"""Candles that exchanges really published, where a folder of them lies beside the project."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backfill.domain.candle_columns import CANDLE_COLUMNS
from backfill.domain.timeframes import timeframe

FOLDER = Path(__file__).parents[4] / "shared" / "market"


def real_candles(name: str, at: str | None = None) -> pd.DataFrame:
    """One file as a candle frame, added up to the timeframe ``at``; skips the test where there is none."""
    path = FOLDER / f"{name}.csv.gz"
    if not path.is_file():
        pytest.skip(f"no real candles ../shared/market/{name}")
    candles = _read(path)
    own = name.split("__")[2]
    return candles.copy() if at in (None, own) else _added_up(candles, timeframe(own).step_ms, timeframe(at).step_ms)


@cache
def _read(path: Path) -> pd.DataFrame:
    candles = pd.read_csv(path).rename(columns={"ts_ms": "open_ms"}).assign(quote_volume=np.nan)
    return candles.drop_duplicates("open_ms").sort_values("open_ms", ignore_index=True)[CANDLE_COLUMNS]


def _added_up(candles: pd.DataFrame, step_ms: int, longer_ms: int) -> pd.DataFrame:
    """The longer bars whose shorter bars are all there."""
    rows = candles.groupby(candles["open_ms"] // longer_ms * longer_ms)
    longer = rows.agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "quote_volume": "first"}
    )
    return longer[rows.size() == longer_ms // step_ms].reset_index()[CANDLE_COLUMNS]

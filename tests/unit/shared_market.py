"""Real candles, where a folder of them lies beside the project."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from backfill.domain.candle_columns import CANDLE_COLUMNS
from backfill.domain.timeframes import timeframe
from backfill.paper.candle_files import find_files, read_candles

FOLDER = Path(__file__).parents[3] / "shared" / "market"


def shared_candles(name: str) -> pd.DataFrame:
    """One file as a checked candle frame (volume in base units, no quote volume); skips the test where it is not."""
    if not (FOLDER / f"{name}.csv.gz").is_file():
        pytest.skip(f"no real candles ../shared/market/{name}")
    bars = read_candles(*find_files(FOLDER, name))
    return pd.DataFrame({column: bars["base_volume" if column == "volume" else column] for column in CANDLE_COLUMNS})


def shared_names() -> list[str]:
    """Every file's name; skips the test where there are none."""
    if not FOLDER.is_dir():
        pytest.skip("no real candles in ../shared/market")
    return [file.stem for file in find_files(FOLDER)]


def step_of(name: str) -> int:
    """The length of a file's bars in ms, which its name says."""
    return timeframe(name.split("__")[2]).step_ms

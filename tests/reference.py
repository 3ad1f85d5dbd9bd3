"""Where tests take reference data from: made by us, always; recorded at real venues, where ``../shared`` is."""

from __future__ import annotations

import copy
import gzip
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from backfill.domain.candle_columns import CANDLE_COLUMNS
from backfill.domain.timeframes import timeframe
from backfill.paper.candle_files import HEADER, SUFFIX, find_files, read_candles
from backfill.paper.market import Candles
from made.market import SERIES, made_candles
from made.payloads import PAYLOADS

SHARED = Path(os.environ.get("CANDLE_KEEPER_TEST_SHARED", Path(__file__).parents[2] / "shared"))
MADE, REAL = "made", "real"


def origins(folder: str) -> list[str]:
    """Where there is data of a kind; real data that are not here are no case, so that nothing is skipped."""
    return [MADE, REAL] if (SHARED / folder).is_dir() else [MADE]


@dataclass(frozen=True)
class Payloads:
    """Answers of venues by the names of their files."""

    origin: str

    def __call__(self, name: str) -> Any:
        if self.origin == MADE:
            return copy.deepcopy(PAYLOADS[name])
        return json.loads((SHARED / "payloads" / name).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Market:
    """Candles by the names of their files: bars, or a checked frame (volume in coins, no quote volume)."""

    origin: str

    def __call__(self, name: str) -> Candles:
        return made_candles(name) if self.origin == MADE else _real_candles(name)

    def names(self) -> list[str]:
        return sorted(SERIES) if self.origin == MADE else [file.stem for file in find_files(SHARED / "market")]

    def frame(self, name: str, at: str | None = None) -> pd.DataFrame:
        """All bars of a file, added up to the timeframe ``at``."""
        bars, own = self(name), name.split("__")[2]
        candles = pd.DataFrame(
            {column: bars["base_volume" if column == "volume" else column] for column in CANDLE_COLUMNS}
        )
        return candles if at in (None, own) else _added_up(candles, timeframe(own).step_ms, timeframe(at).step_ms)

    def folder(self, names: list[str], directory: Path) -> Path:
        """A folder with these files, in ``directory`` if we make them."""
        if self.origin == REAL:
            return SHARED / "market"
        for name in names:
            rows = (",".join(map(str, bar[:6])) for bar in made_candles(name).tolist())
            text = "\n".join([HEADER, *rows])
            (directory / f"{name}{SUFFIX}").write_bytes(gzip.compress(text.encode(), compresslevel=1))
        return directory


@cache
def _real_candles(name: str) -> Candles:
    return read_candles(*find_files(SHARED / "market", name))


def _added_up(candles: pd.DataFrame, step_ms: int, longer_ms: int) -> pd.DataFrame:
    """The longer bars whose shorter bars are all there."""
    rows = candles.groupby(candles["open_ms"] // longer_ms * longer_ms)
    longer = rows.agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "quote_volume": "first"}
    )
    return longer[rows.size() == longer_ms // step_ms].reset_index()[CANDLE_COLUMNS]

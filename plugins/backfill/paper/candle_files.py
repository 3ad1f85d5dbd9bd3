"""Files of real candles: ``<venue>__<SYMBOL>__<timeframe>[__<tag>].csv.gz``.

Columns ``ts_ms,open,high,low,close,volume``: open time, prices, volume in coins. A symbol is ``BTC-USDT-PERP`` (a
linear perpetual, our ``BTC-USDT``) or ``XRP-ETH`` (spot, same name).
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from backfill.domain.timeframes import Timeframe
from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.errors import ConfigurationError, UnknownTimeframe
from backfill.paper.market import CANDLE, Candles

SUFFIX = ".csv.gz"
HEADER = "ts_ms,open,high,low,close,volume"
NAME = re.compile(
    r"(?P<venue>[a-z0-9]+)__(?P<symbol>[A-Z0-9]+-[A-Z0-9]+)(?P<perp>-PERP)?__(?P<timeframe>\w+?)(__(?P<tag>\w+))?"
)
COLUMNS = ("open_ms", "open", "high", "low", "close", "base_volume")  # their names in CANDLE


@dataclass(frozen=True)
class CandleFile:
    path: Path
    symbol: str
    is_perpetual: bool
    timeframe: Timeframe

    @property
    def stem(self) -> str:
        """The file's name without ``.csv.gz``."""
        return self.path.name.removesuffix(SUFFIX)


def find_files(directory: Path, select: str | Sequence[str] = "*") -> list[CandleFile]:
    """The files whose names without ``.csv.gz`` match any of the globs, by name.

    :class:`ConfigurationError` for a missing directory, an unmatched glob or an invalid name.
    """
    if not directory.is_dir():
        raise ConfigurationError(f"{directory}: no such directory of candle files")
    paths = sorted(directory.glob(f"*{SUFFIX}"))
    chosen: set[Path] = set()
    for pattern in [select] if isinstance(select, str) else select:
        matching = [path for path in paths if fnmatchcase(path.name.removesuffix(SUFFIX), pattern)]
        if not matching:
            raise ConfigurationError(f"{directory}: no candle file is called {pattern!r}")
        chosen.update(matching)
    return [_parse_name(path) for path in sorted(chosen)]


def _parse_name(path: Path) -> CandleFile:
    parts = NAME.fullmatch(path.name.removesuffix(SUFFIX))
    if parts is None:
        raise ConfigurationError(f"{path}: a candle file is called <venue>__<SYMBOL>__<timeframe>[__<tag>]{SUFFIX}")
    try:
        timeframe = timeframe_named(parts["timeframe"])
    except UnknownTimeframe as unknown:
        raise ConfigurationError(f"{path}: {unknown}") from None
    return CandleFile(path, parts["symbol"], parts["perp"] is not None, timeframe)


def read_candles(file: CandleFile) -> Candles:
    """The file's bars, sorted, one per open time (the last row wins); quote volume is NaN.

    :class:`ConfigurationError` unless every row is six finite numbers, the first on the timeframe's grid. Prices are
    replayed unchecked.
    """
    try:
        lines = gzip.decompress(file.path.read_bytes()).decode("ascii").splitlines()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as broken:
        raise ConfigurationError(f"{file.path}: cannot be read: {broken}") from broken
    if not lines or lines[0] != HEADER:
        raise ConfigurationError(f"{file.path}: the first line is not {HEADER!r}")
    if len(lines) == 1:
        raise ConfigurationError(f"{file.path}: holds no candles")
    try:
        rows = np.loadtxt(lines, delimiter=",", comments=None, skiprows=1, ndmin=2)
    except ValueError as broken:
        raise ConfigurationError(f"{file.path}: {broken}") from broken
    if rows.shape[1] != len(COLUMNS):
        raise ConfigurationError(f"{file.path}: every row has {rows.shape[1]} columns, not {len(COLUMNS)}")
    _refuse(file, "not a finite number", ~np.isfinite(rows).all(axis=1))
    grid = file.timeframe
    _refuse(file, f"not on the {grid.name} grid", (rows[:, 0] - grid.anchor_ms) % grid.step_ms != 0)

    candles = np.empty(len(rows), dtype=CANDLE)
    for name, column in zip(COLUMNS, rows.T, strict=True):
        candles[name] = column
    candles["quote_volume"] = np.nan
    # np.unique keeps the first of equals; reversed, a bar's last row wins.
    _, last_rows = np.unique(candles["open_ms"][::-1], return_index=True)
    return candles[::-1][last_rows]


def _refuse(file: CandleFile, why: str, is_bad: ArrayLike) -> None:
    bad_rows = np.flatnonzero(is_bad)
    if len(bad_rows):
        raise ConfigurationError(f"{file.path}: line {bad_rows[0] + 2}: {why}")

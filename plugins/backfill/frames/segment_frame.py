"""Candles of one span as a file's bytes. A CSV depends on the candles alone."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping

import pandas as pd

from backfill.domain.segments import COLUMNS
from backfill.errors import ConfigurationError

NUMBERS = COLUMNS[1:-1]


def as_csv(candles: pd.DataFrame, source_names: Mapping[int, str]) -> bytes:
    """The header and a line per candle, oldest first; the shortest text that reads back as the same number."""
    columns = [candles["open_ms"].tolist(), *(map(_text, candles[name].tolist()) for name in NUMBERS)]
    sources = [source_names[number] for number in candles["source_id"].tolist()]
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in zip(*columns, sources, strict=True))]
    return ("\n".join(lines) + "\n").encode()


def as_parquet(candles: pd.DataFrame, source_names: Mapping[int, str]) -> bytes:
    """The same columns as Parquet. Raises :class:`ConfigurationError` without pyarrow."""
    frame = candles.rename(columns={"open_ms": "ts_ms"})
    frame["source"] = frame.pop("source_id").map(source_names)
    file = io.BytesIO()
    try:
        frame[list(COLUMNS)].to_parquet(file, index=False)
    except ImportError as error:
        raise ConfigurationError("Parquet needs a library: pip install pyarrow, or choose --format csv") from error
    return file.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _text(value: float) -> str:
    return "" if math.isnan(value) else repr(value)

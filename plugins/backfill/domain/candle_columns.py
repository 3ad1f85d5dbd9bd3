"""Columns of a candle frame, range of open times."""

from __future__ import annotations

PRICES = ["open", "high", "low", "close"]
VOLUMES = ["volume", "quote_volume"]
# open_ms: epoch ms (unchecked: float64, NaN if broken); volume: base units, NaN if unknown.
CANDLE_COLUMNS = ["open_ms", *PRICES, *VOLUMES]
# While unchecked. closed: the bar is over, or the source does not say. malformed: a field is no valid number or time.
FLAG_COLUMNS = ["closed", "malformed"]
# 2009-01-03, Bitcoin's first block, to 2100-01-01: excludes zero, seconds and microseconds, which as oldest row would
# make later bars look absent.
EARLIEST_MS, LATEST_MS = 1_230_940_800_000, 4_102_444_800_000

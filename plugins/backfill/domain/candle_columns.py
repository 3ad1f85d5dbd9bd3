"""The columns of a table of candles, and the times that a market can have had."""

from __future__ import annotations

PRICES = ["open", "high", "low", "close"]
VOLUMES = ["volume", "quote_volume"]
# open_ms: epoch ms (float64 while unchecked, since a broken one is NaN); volume: base units; NaN volume: unknown.
CANDLE_COLUMNS = ["open_ms", *PRICES, *VOLUMES]
# Beside them while a page is unchecked. closed: the source says that the bar is over (true where it does not say).
# malformed: a field is there but is not what it should be: a number, a time that a market can have had.
FLAG_COLUMNS = ["closed", "malformed"]
# 2009-01-03, Bitcoin's first block, to 2100-01-01. A zero, seconds and microseconds are outside. Believed, one of them
# would be a page's oldest row, and all that lies between would pass for denied.
EARLIEST_MS, LATEST_MS = 1_230_940_800_000, 4_102_444_800_000

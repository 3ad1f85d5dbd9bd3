"""Blofin's rows as a candle frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backfill.domain.candle_columns import CandleFrame
from backfill.frames.candle_frame import frame_of, scaled

# ts, o, h, l, c, vol (contracts, skipped: contractValue may change), volCurrency (base), volCurrencyQuote, confirm.
_PLACES = {"open_ms": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 6, "quote_volume": 7}
_CONFIRM = 8
_BROKEN_ROW = ["broken row"] * 9
# Mark and index prices: ts, o, h, l, c, confirm.
_PRICE_ROW = 6


def blofin_frame(
    rows: Sequence[Any], price_scale: float = 1.0, volume_scale: float = 1.0, *, has_volume: bool = True
) -> CandleFrame:
    """One unchecked candle per row, in order; rows of another shape are malformed. See :func:`scaled`."""
    if not has_volume:
        rows = [[*row[:5], None, None, None, row[5]] if _is_price_row(row) else row for row in rows]
    whole = [row if _is_whole(row) else _BROKEN_ROW for row in rows]
    frame = frame_of(
        {name: [row[place] for row in whole] for name, place in _PLACES.items()},
        closed=[str(row[_CONFIRM]) == "1" for row in whole],
    )
    return scaled(frame, price_scale, volume_scale)


def _is_price_row(row: object) -> bool:
    return isinstance(row, list) and len(row) == _PRICE_ROW


def _is_whole(row: object) -> bool:
    return isinstance(row, list) and len(row) > _CONFIRM and str(row[_CONFIRM]) in ("0", "1")

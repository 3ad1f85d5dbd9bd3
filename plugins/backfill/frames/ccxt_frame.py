"""A venue's rows, read by ccxt, as a candle frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from backfill.domain.candle_columns import PRICES, CandleFrame
from backfill.exchanges.ccxt_rows import CcxtRow
from backfill.frames.candle_frame import frame_of, scaled


def ccxt_frame(
    rows: Sequence[CcxtRow], price_scale: float = 1.0, volume_scale: float = 1.0, *, has_volume: bool = True
) -> CandleFrame:
    """One unchecked candle per row, in order; see :func:`scaled`.

    Rows with empty cells, except quote volume, are malformed: ccxt reads nonsense as empty.
    """
    columns: dict[str, Sequence[Any]] = {
        name: _told([getattr(row, name) for row in rows]) for name in ("open_ms", *PRICES)
    }
    # What stands there for mark and index prices is no volume.
    columns["volume"] = _told([row.volume for row in rows]) if has_volume else [None] * len(rows)
    columns["quote_volume"] = [row.quote_volume for row in rows]
    return scaled(frame_of(columns, closed=[row.closed for row in rows]), price_scale, volume_scale)


def _told(cells: Sequence[Any]) -> list[Any]:
    return [math.inf if cell is None or cell != cell else cell for cell in cells]  # NaN differs from itself

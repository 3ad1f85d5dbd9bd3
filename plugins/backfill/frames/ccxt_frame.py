"""A venue's rows, as ccxt reads them, as a candle frame in the instrument's own denomination."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from backfill.domain.candle_columns import PRICES
from backfill.exchanges.ccxt_rows import CcxtRow
from backfill.frames.candle_frame import frame_of


def ccxt_frame(rows: Sequence[CcxtRow], price_scale: float = 1.0, volume_scale: float = 1.0) -> pd.DataFrame:
    """One unchecked candle a row, in the order of the answer.

    Prices are multiplied by ``price_scale``, the volume by ``volume_scale`` (contracts become coins, coins of
    another denomination ours); what was paid is the same in both, so the quote volume stays. All but that must have
    been told: an empty cell is what ccxt makes of text and nonsense, so its row is marked malformed.
    """
    columns: dict[str, Sequence[Any]] = {
        name: [_told(getattr(row, name)) for row in rows] for name in ("open_ms", *PRICES, "volume")
    }
    columns["quote_volume"] = [row.quote_volume for row in rows]
    frame = frame_of(columns, closed=[row.closed for row in rows])
    frame[PRICES] = _scaled(frame[PRICES], price_scale)
    frame["volume"] = _scaled(frame["volume"], volume_scale)
    return frame


def _told(cell: Any) -> Any:
    return math.inf if cell is None or cell != cell else cell  # NaN differs from itself


def _scaled(values: Any, scale: float) -> Any:
    """A thousandth is divided by a thousand, which gives the nearest float to the decimal that was told."""
    if scale == 1:
        return values
    whole = round(1 / scale)
    return values / whole if whole > 1 and math.isclose(whole * scale, 1, rel_tol=1e-12) else values * scale

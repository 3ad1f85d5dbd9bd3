"""The bars of a registered source as a candle frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backfill.domain.candle_columns import CANDLE_COLUMNS, CandleFrame
from backfill.frames.candle_frame import frame_of, scaled

WIDTH = len(CANDLE_COLUMNS) + 1
_BROKEN_ROW = ["broken row"] * WIDTH


def bar_frame(bars: Sequence[Sequence[Any]], price_scale: float = 1.0, volume_scale: float = 1.0) -> CandleFrame:
    """One unchecked candle per bar, in order; bars of another shape are malformed. See :func:`scaled`."""
    whole = [bar if _is_whole(bar) else _BROKEN_ROW for bar in bars]
    frame = frame_of(
        {name: [bar[place] for bar in whole] for place, name in enumerate(CANDLE_COLUMNS)},
        closed=[bar[WIDTH - 1] is True for bar in whole],
    )
    return scaled(frame, price_scale, volume_scale)


def _is_whole(bar: object) -> bool:
    return isinstance(bar, list | tuple) and len(bar) == WIDTH and isinstance(bar[WIDTH - 1], bool)

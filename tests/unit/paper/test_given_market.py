"""Candles that are given, at their own times."""

from __future__ import annotations

import numpy as np
import pytest

from backfill.domain.timeframes import MINUTE_MS
from backfill.errors import UnknownSymbol
from backfill.paper.given_market import GivenMarket
from backfill.paper.market import CANDLE

THEN_MS = 1_700_006_400_000  # 2023-11-15T00:00Z
ROWS = [(THEN_MS + k * MINUTE_MS, 10, 12.5, 9.5, 11 + k / 4, 3.5, np.nan) for k in (0, 1, 3)]
MARKET = GivenMarket({("A-USDT", "1m"): np.array(ROWS, dtype=CANDLE)})


def test_bars_are_given_out_as_they_came_with_their_holes():
    assert MARKET.candles("A-USDT", "1m", THEN_MS + 1, THEN_MS + 9 * MINUTE_MS)["close"].tolist() == [11.25, 11.75]


def test_a_bar_is_there_once_it_is_closed():
    last_ms = THEN_MS + 3 * MINUTE_MS
    seen = [len(MARKET.candles("A-USDT", "1m", 0, 2 * last_ms, now_ms=last_ms + late)) for late in (59_999, 60_000)]
    assert seen == [2, 3]


def test_no_timeframe_is_made_from_another():
    assert len(MARKET.candles("A-USDT", "5m", 0, 2 * THEN_MS)) == 0
    with pytest.raises(UnknownSymbol):
        MARKET.candles("B-USDT", "1m", 0, 2 * THEN_MS)


def test_an_instrument_is_listed_at_its_first_bar_with_units_that_fit_its_rows():
    instrument = MARKET.instrument("A-USDT")
    assert (instrument.listed_ms, str(instrument.tick_size), str(instrument.lot_size)) == (THEN_MS, "0.01", "0.1")

"""What a quarantined row lacks to be a candle, whatever a source has sent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.frames.blofin_frame import blofin_frame
from backfill.jobs.by_hand.quarantined_candle import what_is_missing
from backfill.storage.series import SeriesWindow

END_MS = 1_773_144_000_000
WINDOW = SeriesWindow(1, "BTC-USDT", "1m", [1], END_MS - 3_600_000, END_MS, None, None)
SOUND = [str(END_MS - 60_000), "1", "2", "0.5", "1.5", "10", "1", "1.5", "1"]

cells = st.sampled_from([*SOUND, "0", "-1", "", "NaN", "inf", "1e999", "abc", str(END_MS), str(END_MS - 1), "0.00001"])
cells = cells | st.none() | st.integers() | st.floats() | st.booleans() | st.lists(st.integers(), max_size=2)


@settings(max_examples=300, deadline=None)
@given(st.lists(cells, min_size=9, max_size=9) | st.tuples(st.integers(0, 8), cells).map(
    lambda change: [*SOUND[: change[0]], change[1], *SOUND[change[0] + 1 :]]
))  # fmt: skip
def test_a_row_that_lacks_nothing_is_a_bar_of_four_prices_and_a_volume(row):
    frame = blofin_frame([row]).to_pandas()
    if not what_is_missing(frame, WINDOW):
        bar = frame.iloc[0]
        assert all(0 < bar[name] < math.inf for name in ("open", "high", "low", "close"))
        assert 0 <= bar["volume"] < math.inf
        assert math.isnan(bar["quote_volume"]) or 0 <= bar["quote_volume"] < math.inf
        assert bar["open_ms"] in range(WINDOW.start_ms, WINDOW.end_ms, 60_000)
        assert bar["closed"]


@pytest.mark.parametrize(
    ("place", "cell", "missing"),
    [
        (1, "1", []),
        (2, "0.1", []),
        (7, "", []),
        (2, "", ["a finite high above 0"]),
        (6, "", ["a finite volume of 0 or more"]),
        (0, str(END_MS), ["the end of its bar, which was still running"]),
        (0, str(END_MS - 30_000), ["an open time on the grid of 1m"]),
        (0, str(END_MS - 7_200_000), ["an open time that is kept (2026-03-10 11:00 or later)"]),
        (8, "0", ["the end of its bar, which was still running"]),
    ],
)
def test_what_is_missing_is_said_in_words(place, cell, missing):
    row = [*SOUND[:place], cell, *SOUND[place + 1 :]]
    assert what_is_missing(blofin_frame([row]).to_pandas(), WINDOW) == missing

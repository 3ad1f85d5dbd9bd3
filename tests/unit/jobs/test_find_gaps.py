"""What a caller may ask for, and how symbols are handed out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.errors import InvalidWindow
from backfill.jobs.fill.find_gaps import SeriesGaps, selection, symbols_with_gaps

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
NOW_MS = 1_769_860_800_000
HOUR = timedelta(hours=1)
MS = timedelta(milliseconds=1)


def test_nothing_named_is_everything_up_to_now():
    which = selection(NOW, 5.0)
    assert (which.at, which.settle_ms) == (NOW, 5000)
    assert (which.symbols, which.timeframes, which.from_ms, which.to_ms) == (None, None, None, None)


def test_an_empty_list_of_names_is_no_wish_for_nothing():
    which = selection(NOW, 5.0, symbols=[], timeframes=())
    assert (which.symbols, which.timeframes) == (None, None)


def test_a_window_is_kept_to_the_millisecond_and_utc_where_it_names_no_offset():
    start = datetime(2026, 1, 31, 10, 0, 0, 1000, tzinfo=timezone(2 * HOUR))
    which = selection(NOW, 0.25, symbols=["BTC-USDT"], timeframes=["1m"], start=start, end=NOW.replace(tzinfo=None))
    assert (which.from_ms, which.to_ms) == (NOW_MS - 4 * 3_600_000 + 1, NOW_MS)
    assert (which.settle_ms, which.symbols, which.timeframes) == (250, ["BTC-USDT"], ["1m"])


@pytest.mark.parametrize(
    ("start", "end"), [(NOW - MS, None), (NOW - MS, NOW), (None, NOW), (NOW - HOUR, NOW + timedelta(minutes=1))]
)
def test_a_window_may_end_now_even_by_a_clock_that_is_a_minute_ahead(start, end):
    selection(NOW, 5.0, start=start, end=end)


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (NOW, None, "the start is not before the end"),
        (NOW + HOUR, None, "the start is not before the end"),
        (NOW - HOUR, NOW - HOUR, "the start is not before the end"),
        (NOW - HOUR, NOW - 2 * HOUR, "the start is not before the end"),
        (NOW - HOUR, NOW + timedelta(minutes=1) + MS, "it ends in the future"),
        (None, NOW + HOUR, "it ends in the future"),
        (NOW + HOUR, NOW + 2 * HOUR, "it ends in the future"),
    ],
)
def test_a_window_that_is_empty_upside_down_or_not_over_yet_is_refused(start, end, why):
    with pytest.raises(InvalidWindow, match=why):
        selection(NOW, 5.0, start=start, end=end)


def test_a_refused_window_says_what_it_was_taken_for():
    with pytest.raises(InvalidWindow, match="2026-01-31T13:00:00Z, 2026-01-31T12:00:00Z") as caught:
        selection(NOW, 5.0, start=NOW + HOUR)
    assert (caught.value.start_ms, caught.value.end_ms) == (NOW_MS + 3_600_000, NOW_MS)


GAPS = st.lists(
    st.builds(SeriesGaps, st.sampled_from("ABCDEFGHIJ"), st.sampled_from(["1m", "1h"]), st.just(1), st.just(0))
)


@given(GAPS, st.integers(1, 12))
def test_each_symbol_is_handed_out_once_in_no_more_items_than_allowed(gaps, most):
    items = symbols_with_gaps(gaps, most)
    symbols = [symbol for item in items for symbol in item.split(",")]
    assert len(items) <= most
    assert sorted(symbols) == sorted({gap.symbol for gap in gaps})
    sizes = {item.count(",") for item in items}
    assert not sizes or max(sizes) - min(sizes) <= 1


@given(GAPS)
def test_the_newest_gaps_come_first_and_head_their_batches(gaps):
    in_order = list(dict.fromkeys(gap.symbol for gap in gaps))
    assert symbols_with_gaps(gaps) == in_order
    batches = [item.split(",") for item in symbols_with_gaps(gaps, 3)]
    assert [batch[0] for batch in batches] == in_order[:3]
    assert all(sorted(batch, key=in_order.index) == batch for batch in batches)

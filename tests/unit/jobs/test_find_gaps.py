"""What a caller may ask for, and how symbols are handed out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.errors import InvalidWindow
from backfill.jobs.fill.find_gaps import SeriesGaps, gaps_in_words, selection, symbols_with_gaps
from backfill.jobs.fill.share_work import FEW_TASKS, REQUESTS_A_TASK, share_work

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
    st.builds(
        SeriesGaps,
        st.sampled_from("ABCDEFGHIJ"),
        st.sampled_from(["1m", "1h"]),
        st.integers(1, 99_999),
        st.just(0),
        st.integers(0, 9),
    )
)


@given(GAPS, st.integers(1, 12), st.none() | st.integers(1, 4))
def test_each_symbol_is_handed_out_once_in_no_more_items_than_allowed(gaps, most, symbols_per_task):
    items = symbols_with_gaps(gaps, most, symbols_per_task)
    symbols = [symbol for item in items for symbol in item.split(",")]
    assert len(items) <= most
    assert sorted(symbols) == sorted({gap.symbol for gap in gaps})


@given(GAPS)
def test_the_newest_gaps_come_first_and_head_their_batches(gaps):
    in_order = list(dict.fromkeys(gap.symbol for gap in gaps))
    assert symbols_with_gaps(gaps, 1024) == in_order
    batches = [item.split(",") for item in symbols_with_gaps(gaps, 3)]
    assert [batch[0] for batch in batches] == sorted((batch[0] for batch in batches), key=in_order.index)
    assert all(sorted(batch, key=in_order.index) == batch for batch in batches)


def test_few_symbols_have_a_task_each_many_with_little_work_share_one_and_large_work_has_its_own():
    def tasks(symbols: int, requests: int) -> int:
        return len(share_work({f"S{number}": requests for number in range(symbols)}, 1024))

    assert (tasks(5, 1), tasks(FEW_TASKS, 1)) == (5, FEW_TASKS)
    assert (tasks(32, 1), tasks(311, 1)) == (FEW_TASKS, FEW_TASKS)
    assert tasks(311, REQUESTS_A_TASK) == 311
    assert tasks(2000, 2 * REQUESTS_A_TASK) == 1024


@given(st.dictionaries(st.text("ABCDEFGHIJ", min_size=2, max_size=3), st.integers(1, 500), min_size=1, max_size=60))
def test_no_task_has_more_work_than_another_by_more_than_one_symbol(requests_of):
    work = [sum(requests_of[symbol] for symbol in item.split(",")) for item in share_work(requests_of, 7)]
    assert max(work) - min(work) <= max(requests_of.values())


def test_a_fixed_number_of_symbols_a_task_is_kept_to():
    items = share_work(dict.fromkeys("ABCDEFG", 1), 1024, symbols_per_task=3)
    assert sorted(len(item.split(",")) for item in items) == [2, 2, 3]


def test_what_was_found_is_one_sentence():
    two = [SeriesGaps("SOL-USDT", "1m", 1_095, 0), SeriesGaps("XRP-USDT", "1m", 0, 0, restorable_candles=95)]
    assert gaps_in_words([], 0) == "no candle is missing: nothing follows"
    assert gaps_in_words(two[:1], 1) == "1,095 candles are missing: 1 series, 1 instance of each task"
    assert gaps_in_words(two, 2) == (
        "1,095 candles are missing, 95 of another source may be had from the primary one: 2 series, 2 instances of "
        "each task"
    )

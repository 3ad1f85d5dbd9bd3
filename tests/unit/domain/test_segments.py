"""Names and spans of segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.intervals import Interval, intersection, union, within
from backfill.domain.segments import SegmentName, spans, usual_period
from backfill.domain.timeframes import DAY_MS, TIMEFRAMES
from backfill.errors import ConfigurationError

MS = st.integers(0, 2_000_000_000_000)


@given(st.sampled_from(sorted(TIMEFRAMES)), MS, st.integers(1, DAY_MS), st.integers(1, 99))
def test_a_name_reads_back(timeframe: str, start_ms: int, length_ms: int, revision: int) -> None:
    name = SegmentName("1000BONK-USDT", timeframe, start_ms, start_ms + length_ms, revision)
    assert SegmentName.parse(str(name)) == name


@pytest.mark.parametrize("symbol", ["../../etc-USDT", "A/B-USDT", "BTC-USDT\0", ".-USDT", "BTC__-USDT", "BTC-USDT\n"])
def test_a_symbol_that_could_lead_elsewhere_makes_no_name(symbol: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be part of a file's name"):
        str(SegmentName(symbol, "1m", 0, 1))


@pytest.mark.parametrize(
    "name",
    [
        "BTC-USDT__1m__t0_t60000.csv.part",
        ".BTC-USDT__1m__t0_t60000.csv",
        "BTC-USDT__7m__t0_t60000.csv",
        "BTC-USDT__1m__t60000_t60000.csv",
        "../BTC-USDT__1m__t0_t60000.csv",
    ],
)
def test_other_names_are_no_segments(name: str) -> None:
    assert SegmentName.parse(name) is None


@given(st.sampled_from(list(TIMEFRAMES.values())), st.sampled_from(["day", "month"]), MS, st.integers(1, 200 * DAY_MS))
def test_spans_tile_the_grid(timeframe: object, period: str, start_ms: int, length_ms: int) -> None:
    bars = TIMEFRAMES[timeframe.name]  # type: ignore[attr-defined]
    found = list(spans(bars, period, Interval(start_ms, start_ms + length_ms)))
    assert all(bars.is_on_grid(edge) for span in found for edge in span)
    assert len(union(found)) <= 1
    first = bars.ceil(start_ms)
    assert first >= start_ms + length_ms or any(span.start <= first < span.end for span in found)


def test_a_day_of_minutes_and_a_month_of_days() -> None:
    assert [usual_period(TIMEFRAMES[name]) for name in ("1m", "1h", "4h", "1d", "1w")] == [
        "day", "day", "month", "month", "month",
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9))), st.integers(0, 99), st.integers(1, 50))
def test_within_is_the_intersection(have: list[tuple[int, int]], start: int, length: int) -> None:
    intervals = union(Interval(at, at + size) for at, size in have)
    span = Interval(start, start + length)
    assert within(intervals, span) == intersection(intervals, [span])

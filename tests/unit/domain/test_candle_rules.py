"""What may be stored and what goes to quarantine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.candle_columns import CANDLE_COLUMNS, EARLIEST_MS
from backfill.domain.candle_rules import CLOCK_SLACK_MS, RULES, BrokenRow, sift
from backfill.domain.timeframes import TIMEFRAMES, timeframe
from backfill.frames.candle_frame import frame_of

MINUTE = timeframe("1m")
T0 = 1_763_601_420_000
# Each value of its own, so that a rule that looks at the wrong column is found out.
SOUND = {"open_ms": T0, "open": 10.5, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 3.0, "quote_volume": 33.0}

Row = Mapping[str, object]


def frame(rows: Sequence[Row]):
    columns = {name: [row[name] for row in rows] for name in CANDLE_COLUMNS}
    return frame_of(columns, closed=[row.get("closed", True) is True for row in rows])


def sifted(rows: Sequence[Row], bar=MINUTE, **asked: float):
    sound, broken = sift(frame(rows), bar, **asked)
    return sound.to_pandas(), broken


def at(minute: int, **fields: object) -> Row:
    return {**SOUND, "open_ms": T0 + minute * 60_000, **fields}


BREAKS = [
    ("field_is_malformed", {"high": "abc"}),
    ("field_is_malformed", {"volume": "NaN"}),
    ("field_is_malformed", {"quote_volume": "inf"}),
    ("number_is_absurd", {"low": "5e-324"}),
    ("number_is_absurd", {"high": 1e300}),
    ("number_is_absurd", {"volume": 1e-60}),
    ("number_is_absurd", {"quote_volume": "-1e60"}),
    ("open_time_is_missing", {"open_ms": None}),
    ("open_time_is_missing", {"open_ms": ""}),
    ("open_time_is_off_the_grid", {"open_ms": T0 + 60_001}),
    ("open_time_is_off_the_grid", {"open_ms": T0 + 59_999}),
    ("open_time_is_off_the_grid", {"open_ms": T0 + 60_000.5}),
    *(("price_is_missing", {name: None}) for name in ("open", "high", "low", "close")),
    *(("price_is_not_positive", {name: 0}) for name in ("open", "high", "low", "close")),
    *(("price_is_not_positive", {name: "-9"}) for name in ("open", "high", "low", "close")),
    ("high_is_not_highest", {"high": 10.75}),  # below the close
    ("high_is_not_highest", {"open": 12.000001}),
    ("high_is_not_highest", {"close": "12.000001"}),
    ("low_is_not_lowest", {"low": 10.75}),  # above the open
    ("low_is_not_lowest", {"open": 8.999999}),
    ("low_is_not_lowest", {"close": "8.999999"}),
    ("volume_is_missing", {"volume": None}),
    ("volume_is_missing", {"volume": ""}),
    ("volume_is_negative", {"volume": -1e-9}),
    ("volume_is_negative", {"quote_volume": "-1"}),
]


@pytest.mark.parametrize(("rule", "fault"), BREAKS, ids=str)
def test_a_row_with_one_fault_is_reported_by_its_rule_and_the_others_are_kept(rule, fault):
    faulty = at(1, **fault)
    sound, broken = sifted([at(2), faulty, at(0)])
    assert [(row.place, row.rule) for row in broken] == [(1, rule)]
    assert sound["open_ms"].tolist() == [T0, T0 + 120_000]
    told_ms = faulty["open_ms"]
    assert broken[0].open_ms == (int(told_ms) if told_ms else None)


def test_each_rule_has_a_row_here_that_breaks_it():
    of_their_own = {
        "number_is_not_finite",
        "open_time_is_in_the_future",
        "open_time_was_not_asked_for",
        "open_time_is_told_twice",
    }
    assert {rule.__name__ for rule in RULES} == {rule for rule, _ in BREAKS} | of_their_own


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume", "quote_volume"])
@pytest.mark.parametrize("infinite", [math.inf, -math.inf])
def test_a_number_that_scaling_has_made_infinite_is_not_stored(name, infinite):
    candles = frame([at(0), at(1)])
    candles[name][1] = infinite
    sound, broken = sift(candles, MINUTE)
    assert (sound["open_ms"].tolist(), broken) == ([T0], [BrokenRow(1, T0 + 60_000, "number_is_not_finite")])


def test_bars_at_the_cursor_and_past_it_were_not_asked_for_and_older_ones_are_ordinary():
    sound, broken = sifted([at(3), at(2), at(1), at(-99_999)], before_ms=T0 + 120_000)
    assert sound["open_ms"].tolist() == [T0 - 99_999 * 60_000, T0 + 60_000]
    assert broken == [BrokenRow(k, T0 + (3 - k) * 60_000, "open_time_was_not_asked_for") for k in (0, 1)]


@pytest.mark.parametrize("closed", [True, False])
def test_a_bar_that_has_not_opened_yet_is_broken_whatever_it_says_of_being_closed(closed):
    now_ms = T0 + 90_000
    rows = [at(0, closed=closed), at(1, closed=closed), at(2, closed=closed), at(3, closed=closed)]
    sound, broken = sifted(rows, now_ms=now_ms)
    assert now_ms + CLOCK_SLACK_MS >= T0 + 120_000  # a clock that is a little behind accuses nobody
    assert sound["open_ms"].tolist() == [T0, T0 + 60_000, T0 + 120_000]
    assert broken == [BrokenRow(3, T0 + 180_000, "open_time_is_in_the_future")]


def test_a_row_that_was_not_asked_for_and_is_wrong_too_is_reported_for_what_is_wrong():
    _, broken = sifted([at(5, high=1), at(6)], before_ms=T0)
    assert [row.rule for row in broken] == ["high_is_not_highest", "open_time_was_not_asked_for"]


def test_a_row_is_reported_once_under_the_first_rule_it_breaks():
    _, broken = sifted([at(0, high=1, low=-5, volume=-1)])
    assert broken == [BrokenRow(0, T0, "price_is_not_positive")]


@pytest.mark.parametrize(
    "fields",
    [
        {"open": 10, "high": 10, "low": 10, "close": 10, "volume": 0, "quote_volume": 0},  # nobody traded
        {"quote_volume": None},  # nobody knows
        {"quote_volume": ""},
        {"open": "0.00000001", "high": "0.00000001", "low": "0.00000001", "close": "0.00000001"},
        {"high": 1e12},
    ],
)
def test_what_is_unusual_is_not_wrong(fields):
    sound, broken = sifted([at(0, **fields)])
    assert (len(sound), broken) == (1, [])


def test_what_was_paid_may_be_unknown_and_stays_so():
    sound, _ = sifted([at(0, quote_volume=None), at(1, quote_volume="")])
    assert sound["quote_volume"].isna().tolist() == [True, True]


def test_the_grid_is_the_timeframes_own():
    monday_ms = 1_763_337_600_000
    for name in TIMEFRAMES:
        sound, _ = sifted([at(0, open_ms=monday_ms)], timeframe(name))
        assert len(sound) == 1
    _, broken = sifted([at(0, open_ms=monday_ms + 3 * 86_400_000)], timeframe("1w"))
    assert [row.rule for row in broken] == ["open_time_is_off_the_grid"]


def test_a_bar_told_twice_in_the_same_words_is_one_bar():
    sound, broken = sifted([at(1), at(0), at(1), at(1)])
    assert (sound["open_ms"].tolist(), broken) == ([T0, T0 + 60_000], [])


def test_two_equal_bars_whose_volume_nobody_knows_are_one_bar():
    sound, broken = sifted([at(1, quote_volume=None), at(1, quote_volume="")])
    assert (len(sound), broken) == (1, [])


@pytest.mark.parametrize("fault", [{"close": 11.5}, {"volume": 4}, {"quote_volume": None}, {"closed": False}])
def test_of_a_bar_told_twice_in_different_words_neither_is_believed(fault):
    sound, broken = sifted([at(1), at(0), at(1, **fault), at(1)])
    assert sound["open_ms"].tolist() == [T0]
    assert broken == [BrokenRow(place, T0 + 60_000, "open_time_is_told_twice") for place in (0, 2, 3)]


def test_a_broken_row_does_not_contest_a_sound_one_of_the_same_bar():
    sound, broken = sifted([at(1, high=1), at(1)])
    assert sound["open_ms"].tolist() == [T0 + 60_000]
    assert broken == [BrokenRow(0, T0 + 60_000, "high_is_not_highest")]


def test_sound_rows_come_oldest_first_numbered_anew_with_whole_open_times():
    sound, _ = sifted([at(minute, close=9 + minute / 10) for minute in (5, 3, 9, 0)])
    assert sound["open_ms"].tolist() == [T0 + minute * 60_000 for minute in (0, 3, 5, 9)]
    assert sound["close"].tolist() == [9.0, 9.3, 9.5, 9.9]
    assert list(sound.index) == [0, 1, 2, 3]
    assert sound["open_ms"].dtype == "int64"


def test_no_rows_are_sifted_into_none():
    sound, broken = sifted([])
    assert (len(sound), broken, sound["open_ms"].dtype) == (0, [], np.dtype("int64"))


PRICE = st.floats(1e-8, 1e9)
VOLUME = st.just(0.0) | st.floats(1e-15, 1e15)


@st.composite
def sound_rows(draw: st.DrawFn, most_minutes: int = 200) -> Row:
    low, high = sorted((draw(PRICE), draw(PRICE)))
    inside = st.floats(low, high)
    fields = {"open": draw(inside), "high": high, "low": low, "close": draw(inside)}
    return at(draw(st.integers(0, most_minutes)), **fields, volume=draw(VOLUME), quote_volume=draw(st.none() | VOLUME))


@given(st.lists(sound_rows(), max_size=12, unique_by=lambda row: row["open_ms"]))
def test_sound_rows_break_no_rule_and_none_is_changed(rows):
    sound, broken = sifted(rows)
    assert broken == []
    expected = sorted(([row[name] for name in CANDLE_COLUMNS] for row in rows), key=lambda row: row[0])
    kept = [[None if cell != cell else cell for cell in row] for row in sound[CANDLE_COLUMNS].to_numpy().tolist()]
    assert kept == expected


CELL = st.sampled_from([None, "", "abc", "-1", "0", "NaN", "5", 5, True, 10**400]) | st.floats() | st.integers()
ANY_ROW = st.fixed_dictionaries({name: CELL for name in CANDLE_COLUMNS if name != "open_ms"}).flatmap(
    lambda cells: (st.integers(0, 5).map(lambda k: T0 + k * 60_000) | CELL).map(lambda ms: {**cells, "open_ms": ms})
)


@given(st.lists(ANY_ROW | sound_rows(5), max_size=10), st.lists(st.integers(0, 9), max_size=4))
def test_every_row_is_sound_broken_or_said_twice(rows, repeated):
    rows = [*rows, *(rows[place] for place in repeated if place < len(rows))]
    sound, broken = sifted(rows)
    places = [row.place for row in broken]
    assert len(places) == len(set(places))
    assert {row.rule for row in broken} <= {rule.__name__ for rule in RULES}
    kept_ms = sound["open_ms"].tolist()
    assert kept_ms == sorted(set(kept_ms))
    assert all(ms >= EARLIEST_MS and ms % 60_000 == 0 for ms in kept_ms)
    # What is neither kept nor broken is a bar that is kept already.
    left = [float(row["open_ms"]) for place, row in enumerate(rows) if place not in places]
    assert sorted(set(left)) == kept_ms

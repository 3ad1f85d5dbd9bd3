"""What a longer bar of the same source says about the shorter ones under it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.candle_columns import CANDLE_COLUMNS
from backfill.domain.intervals import Interval, difference, union
from backfill.domain.next_timeframe import TimeframeProof, aggregate, coarser, prove
from backfill.domain.timeframes import TIMEFRAMES, timeframe

MINUTE, FIVE = timeframe("1m"), timeframe("5m")
MINUTE_MS, FIVE_MS = MINUTE.step_ms, FIVE.step_ms
T0 = 1_763_601_600_000
UNKNOWN = math.nan

# Five minutes that trade, open, high, low, close, volume: together 10, 15, 8, 12 and 15 coins.
TRADES = [(10, 12, 9, 11, 1), (11, 15, 10, 14, 2), (14, 14, 8, 9, 3), (9, 11, 9, 10, 4), (10, 13, 10, 12, 5)]
PUBLISHED = (10, 15, 8, 12, 15)

Bar = tuple[float, float, float, float, float]


def flat(price: float) -> Bar:
    """As exchanges write a bar in which nobody traded."""
    return (price, price, price, price, 0)


def frame(bars: Sequence[Bar | None], step_ms: int = MINUTE_MS) -> pd.DataFrame:
    """One bar after another from ``T0`` on; None leaves one out."""
    rows = [(T0 + place * step_ms, *bar, bar[4] * 10) for place, bar in enumerate(bars) if bar is not None]
    return pd.DataFrame(rows, columns=CANDLE_COLUMNS).astype(
        {"open_ms": "int64", **dict.fromkeys(CANDLE_COLUMNS[1:], "float64")}
    )


def minutes(first: int, end: int) -> Interval:
    return Interval(T0 + first * MINUTE_MS, T0 + end * MINUTE_MS)


def proved(
    lower: Sequence[Bar | None], higher: Sequence[Bar | None], excluded: Sequence[Interval] = ()
) -> TimeframeProof:
    """Minutes before published 5m bars. What is left out has been denied by the source."""
    left_out = [minutes(place, place + 1) for place, bar in enumerate(lower) if bar is None]
    covers = minutes(0, 5 * len(higher))
    return prove(frame(lower), frame(higher, FIVE_MS), MINUTE, FIVE, covers, left_out, excluded)


def verdicts(proof: TimeframeProof) -> tuple[list[Interval], list[Interval], list[Interval], list[str]]:
    return proof.equal, proof.no_trade, proof.lost, proof.differing["field"].tolist()


def without(*places: int) -> list[Bar | None]:
    return [None if place in places else bar for place, bar in enumerate(TRADES)]


def with_volume(bar: Bar, volume: float) -> Bar:
    return (*bar[:4], volume)


def test_minutes_that_add_up_to_the_published_bar_are_equal():
    assert verdicts(proved(TRADES * 2, [PUBLISHED] * 2)) == ([minutes(0, 10)], [], [], [])


@pytest.mark.parametrize("place", range(5))
def test_a_minute_whose_trades_the_published_bar_holds_is_lost(place):
    assert verdicts(proved(without(place), [PUBLISHED])) == ([], [], [minutes(place, place + 1)], [])


def test_every_absent_minute_is_lost_where_nothing_is_there_of_a_bar_that_traded():
    assert verdicts(proved([None] * 5, [PUBLISHED])) == ([], [], [minutes(0, 5)], [])


def test_absent_minutes_had_no_trade_where_the_others_add_up():
    lower = [None, *TRADES[:2], None, None]
    assert verdicts(proved(lower, [(10, 15, 9, 14, 3)])) == ([], [minutes(0, 1), minutes(3, 5)], [], [])


SILENT = [[None] * 5, [flat(12), None, flat(12), None, None]]


def test_minutes_absent_under_a_silent_bar_had_no_trade():
    verdict = [verdicts(proved(bars, [flat(12)])) for bars in SILENT]
    assert verdict == [([], [minutes(0, 5)], [], []), ([], [minutes(1, 2), minutes(3, 5)], [], [])]


@pytest.mark.parametrize("bars", SILENT)
def test_a_longer_bar_that_is_absent_too_proves_nothing(bars):
    assert verdicts(proved(bars, [None])) == ([], [], [], [])


def test_a_volume_that_is_missing_alone_is_enough_to_say_lost():
    inside = (11, 11, 11, 11, 0.001)
    lower = [TRADES[0], None, *TRADES[2:]]
    published = (10, 14, 8, 12, 13)
    assert proved(lower, [published]).no_trade == [minutes(1, 2)]
    assert proved(lower, [with_volume(published, 13 + inside[4])]).lost == [minutes(1, 2)]


def test_silent_minutes_set_no_price():
    lower = [flat(20), TRADES[0], flat(30), TRADES[1], flat(1)]
    assert verdicts(proved(lower, [(10, 15, 9, 14, 3)])) == ([minutes(0, 5)], [], [], [])


def test_a_source_that_opens_its_longer_bar_at_the_price_before_is_as_good():
    lower = [flat(9.5), *TRADES[:2], flat(14), flat(14)]
    assert verdicts(proved(lower, [(9.5, 15, 9, 14, 3)])) == ([minutes(0, 5)], [], [], [])


def test_silent_minutes_under_a_bar_that_traded_contradict_it():
    proof = proved([flat(10)] * 5, [PUBLISHED])
    assert verdicts(proof) == ([], [], [], ["high", "low", "close", "volume"])


def test_silent_minutes_do_not_contradict_a_bar_whose_trades_may_be_lost():
    assert verdicts(proved([flat(20), None, flat(20), None, flat(20)], [PUBLISHED])) == (
        [],
        [],
        [minutes(1, 2), minutes(3, 4)],
        [],
    )


def test_a_row_for_each_field_says_how_far_the_minutes_are_off():
    lower = [TRADES[0], (11, 16, 10, 14, 2), *TRADES[2:]]
    (row,) = proved([*TRADES, *lower], [PUBLISHED, with_volume(PUBLISHED, 15)]).differing.to_dict("records")
    assert row == {
        "open_ms": T0 + FIVE_MS,
        "field": "high",
        "lower_value": 16,
        "higher_value": 15,
        "difference": pytest.approx(1 / 16),
    }


@pytest.mark.parametrize(
    ("published", "field"),
    [((10, 14, 8, 12, 15), "high"), ((10, 15, 8.5, 12, 15), "low"), ((10, 15, 8, 12, 9), "volume")],
)
def test_where_minutes_go_beyond_the_published_bar_no_absent_one_is_blamed(published, field):
    assert verdicts(proved(without(0), [published])) == ([], [], [], [field])


def test_float_noise_is_no_difference():
    noisy = [tuple(value * (1 + 4e-12) for value in bar) for bar in TRADES]
    assert proved(noisy, [PUBLISHED]).equal == [minutes(0, 5)]
    assert proved(TRADES, [(10, 15, 8, 12.00001, 15)]).differing["field"].tolist() == ["close"]


def test_unknown_volumes_leave_the_prices_to_compare_and_prove_no_silence():
    unknown = [with_volume(bar, UNKNOWN) for bar in TRADES]
    assert proved(unknown, [PUBLISHED]).equal == [minutes(0, 5)]
    assert proved(TRADES, [with_volume(PUBLISHED, UNKNOWN)]).equal == [minutes(0, 5)]
    adds_up = [None, *unknown[:4]]
    assert verdicts(proved(adds_up, [(10, 15, 8, 10, 10)])) == ([], [], [], [])
    assert verdicts(proved([None] * 5, [with_volume(flat(12), UNKNOWN)])) == ([], [], [], [])
    assert proved(adds_up, [(10, 15, 8, 12, 10)]).lost == [minutes(0, 1)]  # the close is of another minute


def test_nothing_is_said_of_a_bar_with_minutes_that_nobody_has_asked_for():
    lower = frame(without(1, 3))
    for denied in ([], [minutes(1, 2)]):
        proof = prove(lower, frame([PUBLISHED], FIVE_MS), MINUTE, FIVE, minutes(0, 5), denied)
        assert verdicts(proof) == ([], [], [], [])


def test_minutes_that_add_up_prove_the_silence_beside_minutes_that_nobody_has_asked_for():
    lower, denied = frame([None, None, *TRADES[:2], None]), [minutes(1, 2), minutes(4, 5)]
    for higher, proved_silent in (((10, 15, 9, 14, 3), denied), ((10, 15, 9, 14, 4), [])):
        proof = prove(lower, frame([higher], FIVE_MS), MINUTE, FIVE, minutes(0, 5), denied)
        assert verdicts(proof) == ([], proved_silent, [], [])


def test_nothing_is_said_where_a_bar_touches_what_is_excluded():
    excluded = [minutes(9, 10), minutes(15, 16)]
    assert proved(TRADES * 5, [PUBLISHED] * 5, excluded).equal == [minutes(0, 5), minutes(10, 15), minutes(20, 25)]
    assert verdicts(proved(TRADES, [(1, 2, 1, 2, 9)], [minutes(4, 5)])) == ([], [], [], [])


def test_only_bars_that_lie_whole_in_what_the_answer_covers_are_judged():
    lower, higher = frame(TRADES * 4), frame([PUBLISHED] * 4, FIVE_MS)
    assert prove(lower, higher, MINUTE, FIVE, minutes(1, 19), []).equal == [minutes(5, 15)]
    assert verdicts(prove(lower, higher, MINUTE, FIVE, minutes(6, 9), [minutes(0, 20)])) == ([], [], [], [])


def test_a_bar_outside_of_what_the_answer_covers_proves_nothing():
    proof = prove(frame([]), frame([flat(12)] * 4, FIVE_MS), MINUTE, FIVE, minutes(5, 10), [minutes(0, 20)])
    assert verdicts(proof) == ([], [minutes(5, 10)], [], [])


def test_a_minute_that_is_there_is_not_absent_whatever_was_said_of_it():
    proof = prove(frame(TRADES), frame([PUBLISHED], FIVE_MS), MINUTE, FIVE, minutes(0, 5), [minutes(0, 2)])
    assert verdicts(proof) == ([minutes(0, 5)], [], [], [])


def test_minutes_that_trade_under_no_published_bar_get_no_verdict():
    assert verdicts(proved([*TRADES, *without(2)], [None, None])) == ([], [], [], [])


def test_an_aggregate_says_how_many_bars_are_in_it_and_sums_only_known_volumes():
    third = [with_volume(TRADES[0], UNKNOWN), TRADES[1], None, None, None]
    summed = aggregate(frame([*without(0), *TRADES, *third]), FIVE)
    assert summed["open_ms"].tolist() == [T0, T0 + FIVE_MS, T0 + 2 * FIVE_MS]
    assert summed["bars"].tolist() == [4, 5, 2]
    assert summed["volume"].tolist()[:2] == [14, 15]
    assert summed.loc[2, ["volume", "quote_volume"]].isna().all()
    assert summed.loc[1, CANDLE_COLUMNS[1:]].tolist() == [*PUBLISHED, 150]
    assert list(summed.columns) == [*CANDLE_COLUMNS, "bars"]


def test_a_week_is_added_up_from_monday_on():
    day, week = timeframe("1d"), timeframe("1w")
    monday_ms = 1_763_337_600_000
    days = frame([TRADES[0]] * 14, day.step_ms).assign(open_ms=monday_ms + np.arange(14) * day.step_ms)
    assert aggregate(days.iloc[3:], week)[["open_ms", "bars"]].to_numpy().tolist() == [
        [monday_ms, 4],
        [monday_ms + week.step_ms, 7],
    ]


def test_of_no_bars_nothing_is_made():
    assert len(aggregate(frame([]), FIVE)) == 0


def test_bars_prove_themselves_by_whole_multiples_of_three_at_least_and_never_by_3m():
    by = {name: [bar.name for bar in coarser(name)] for name in TIMEFRAMES}
    assert by["1m"][:4] == ["5m", "15m", "30m", "1h"]
    assert by["3m"][:3] == ["15m", "30m", "1h"]
    assert (by["5m"][0], by["15m"][0], by["30m"][0], by["1h"][0]) == ("15m", "1h", "2h", "4h")
    assert by["4h"] == ["12h", "1d", "1w"]
    assert by["6h"] == by["8h"] == ["1d", "1w"]
    assert (by["12h"], by["1d"], by["1w"]) == (["1w"], ["1w"], [])


PRICE = st.integers(1, 50).map(float)


@st.composite
def traded_minutes(draw: st.DrawFn) -> list[Bar | None]:
    """Three times five minutes: trades, silence written flat at the last price, and silence left out."""
    bars: list[Bar | None] = []
    last = draw(PRICE)
    for kind in draw(st.lists(st.sampled_from(["trades", "flat", "left out"]), min_size=15, max_size=15)):
        if kind == "trades":
            prices = draw(st.lists(PRICE, min_size=2, max_size=4))
            bars.append((prices[0], max(prices), min(prices), prices[-1], draw(st.integers(1, 9)) / 10))
            last = prices[-1]
        else:
            bars.append(flat(last) if kind == "flat" else None)
    return bars


def published(bars: Sequence[Bar | None]) -> list[Bar | None]:
    """What an exchange makes of trades, told without any of the code under test."""
    made: list[Bar | None] = []
    for start in range(0, len(bars), 5):
        traded = [bar for bar in bars[start : start + 5] if bar is not None and bar[4]]
        if not traded:
            made.append(None)
            continue
        opens, highs, lows, closes, volumes = zip(*traded, strict=True)
        made.append((opens[0], max(highs), min(lows), closes[-1], math.fsum(volumes)))
    return made


@given(traded_minutes())
@pytest.mark.long
def test_what_is_left_out_for_want_of_trades_is_always_proved_under_a_bar_that_is_there(bars):
    longer = published(bars)
    proof = proved(bars, longer)
    silent = [at for at, bar in enumerate(bars) if bar is None and longer[at // 5] is not None]
    assert proof.no_trade == union(minutes(at, at + 1) for at in silent)
    assert (proof.lost, len(proof.differing)) == ([], 0)


@given(traded_minutes(), st.data())
@pytest.mark.long
def test_a_minute_that_traded_is_never_proved_silent(bars, data):
    traded = [at for at, bar in enumerate(bars) if bar is not None and bar[4]]
    taken = data.draw(st.lists(st.sampled_from(traded), unique=True, max_size=4)) if traded else []
    proof = proved([None if at in taken else bar for at, bar in enumerate(bars)], published(bars))
    lost = [minutes(at, at + 1) for at in taken]
    assert difference(lost, proof.lost) == []
    assert len(proof.differing) == 0

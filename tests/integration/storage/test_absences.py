"""What a source has denied: for how long it is believed, and what that does to the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from backfill.domain.intervals import Interval, union
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection, SeriesWindow
from backfill.storage.silences import Silences
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    NOW_MS,
    candles,
    foreign_rows,
    insert_foreign,
    missing_candles,
    one,
    opens,
    rows,
    store_bars,
    wanted_series,
)

DAY = opens(NOON_MS - DAY_MS, NOON_MS)
HOUR = DAY[-60:]
BLOFIN, OKX = "blofin", "okx"


def deny(store: CandleStore, window: SeriesWindow, *intervals: Interval, source: str = BLOFIN) -> int:
    """An answer without rows that is believed; gives how many bars are newly absent."""
    newly_absent = be_silent(store, window, *intervals, source=source)
    Silences(store.connection).grade(window, [store.source_id(source)], intervals, "reported")
    return newly_absent


def be_silent(
    store: CandleStore, window: SeriesWindow, *intervals: Interval, source: str = BLOFIN, run: int | None = None
) -> int:
    """An answer without rows; gives how many bars are newly absent."""
    page = store_bars(store, window, candles([]), source=source, absent=intervals, fill_run_id=run)
    return page.newly_absent_ms // MINUTE_MS


def believed(store: CandleStore, window: SeriesWindow, source: str = BLOFIN) -> list[tuple[int, list[Interval]]]:
    """Confirmations and intervals of each row that has not run out."""
    sql = (
        "SELECT confirmations, absent FROM backfill.absences "
        "WHERE series_id = %s AND source_id = %s AND expires_at > now() ORDER BY 1, expires_at"
    )
    found = rows(store.connection, sql, (window.series_id, store.source_id(source)))
    return [(confirmations, [Interval(r.lower, r.upper) for r in absent]) for confirmations, absent in found]


def let_answers_run_out(store: CandleStore, source: str | None = None) -> None:
    """As if their time had passed, also as seen from the moment at which these tests look."""
    store.connection.execute(
        "UPDATE backfill.absences SET expires_at = expires_at - interval '10 years' "
        "WHERE %(source)s::smallint IS NULL OR source_id = %(source)s",
        {"source": None if source is None else store.source_id(source)},
    )


def lives(store: CandleStore) -> list[timedelta]:
    return [life for (life,) in rows(store.connection, "SELECT expires_at - now() FROM backfill.absences ORDER BY 1")]


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store)


HOLE = Interval(HOUR[10], HOUR[20])
REST = Interval(HOUR[30], HOUR[50])


# -- how long an answer lives --------------------------------------------------------------------------------


def test_a_first_denial_is_believed_for_a_day(store: CandleStore, window: SeriesWindow) -> None:
    assert deny(store, window, HOLE) == 10

    (life,) = lives(store)
    assert timedelta(hours=24) < life <= timedelta(hours=25)  # rounded up, so that a day's answers share a row
    assert believed(store, window) == [(2, [HOLE])]


def test_what_is_denied_again_after_that_is_believed_for_a_week(store: CandleStore, window: SeriesWindow) -> None:
    deny(store, window, HOLE)
    let_answers_run_out(store)
    assert believed(store, window) == []

    assert deny(store, window, HOLE) == 10

    (life,) = lives(store)
    assert timedelta(days=7) < life <= timedelta(days=7, hours=1)
    assert believed(store, window) == [(3, [HOLE])]


def test_an_answer_that_still_lives_is_not_made_to_live_longer(store: CandleStore, window: SeriesWindow) -> None:
    deny(store, window, HOLE)
    store.connection.execute("UPDATE backfill.absences SET expires_at = now() + interval '5 minutes'")

    assert deny(store, window, Interval(HOUR[5], HOUR[25])) == 10

    assert believed(store, window) == [
        (2, [HOLE]),
        (2, [Interval(HOUR[5], HOUR[10]), Interval(HOUR[20], HOUR[25])]),
    ]
    assert lives(store)[0] < timedelta(minutes=6)


def test_only_the_part_that_was_denied_before_is_confirmed(store: CandleStore, window: SeriesWindow) -> None:
    deny(store, window, HOLE)
    let_answers_run_out(store)

    deny(store, window, Interval(HOUR[15], HOUR[25]))

    assert believed(store, window) == [
        (2, [Interval(HOUR[20], HOUR[25])]),
        (3, [Interval(HOUR[15], HOUR[20])]),
    ]


def test_answers_never_overlap_whatever_is_denied_when(store: CandleStore, window: SeriesWindow) -> None:
    for first, past in ((0, 30), (20, 40), (10, 50), (0, 60)):
        deny(store, window, Interval(HOUR[first], NOON_MS if past == 60 else HOUR[past]))
        let_answers_run_out(store)

    every = [r for (absent,) in rows(store.connection, "SELECT absent FROM backfill.absences") for r in absent]
    assert sum(r.upper - r.lower for r in every) == HOUR_MS
    assert union(Interval(r.lower, r.upper) for r in every) == [Interval(HOUR[0], NOON_MS)]


def test_a_candle_that_turns_up_takes_the_absence_away(store: CandleStore, window: SeriesWindow) -> None:
    deny(store, window, HOLE, REST)

    store_bars(store, window, candles([HOUR[12], *HOUR[30:50]]))

    assert believed(store, window) == [(2, [Interval(HOUR[10], HOUR[12]), Interval(HOUR[13], HOUR[20])])]
    store_bars(store, window, candles(HOUR[10:20]))
    assert one(store.connection, "SELECT count(*) FROM backfill.absences") == 0


def test_another_sources_candle_takes_only_its_own_absence_away(store: CandleStore) -> None:
    window = wanted_series(store, sources=(BLOFIN, OKX))
    for source in (BLOFIN, OKX):
        deny(store, window, HOLE, source=source)

    store_bars(store, window, candles(HOUR[10:20]), source=OKX)

    assert believed(store, window, OKX) == []
    assert believed(store, window, BLOFIN) == [(2, [HOLE])]


def test_an_answer_about_one_series_says_nothing_of_another(store: CandleStore, window: SeriesWindow) -> None:
    other = wanted_series(store, "ETH-USDT")

    deny(store, window, HOLE)

    assert believed(store, other) == []
    assert missing_candles(store, other) == 1440


# -- what it does to the gaps --------------------------------------------------------------------------------


def gaps(store: CandleStore) -> list[Interval]:
    """Of the only series, oldest first, from the query of the command line."""
    found = [
        Interval(round(row["gap_start"].timestamp() * 1000), round(row["gap_end"].timestamp() * 1000))
        for row in store.rows("ledger/select_gaps", Selection(utc(NOW_MS)))
    ]
    return sorted(found)


def askable(store: CandleStore, window: SeriesWindow, source: str, *, recheck: bool = False) -> Sequence[Interval]:
    return store.open_work(window, store.source_id(source), recheck=recheck).askable


def status(store: CandleStore) -> dict[str, object]:
    (row,) = store.rows("series/select_sync_status", Selection(utc(NOW_MS)))
    return row


WHOLE = Interval(DAY[0], NOON_MS)


def test_what_the_only_source_has_denied_is_no_gap(store: CandleStore, window: SeriesWindow) -> None:
    store_bars(store, window, candles([at for at in DAY if not HOLE.start <= at < HOLE.end]))
    assert gaps(store) == [HOLE]
    assert status(store)["status"] == "gaps"

    deny(store, window, HOLE)

    assert gaps(store) == []
    shown = status(store)
    assert (shown["status"], shown["missing_candles"], shown["absent_candles"]) == ("complete", 0, 10)
    assert (shown["total_candles"], shown["expected_candles"], shown["coverage_pct"]) == (1430, 1430, 100.0)


def test_what_one_of_two_sources_lacks_is_still_a_gap_and_only_the_other_is_asked(store: CandleStore) -> None:
    window = wanted_series(store, sources=(BLOFIN, OKX))

    deny(store, window, HOLE, source=BLOFIN)

    assert gaps(store) == [WHOLE]
    assert askable(store, window, OKX) == [WHOLE]
    assert askable(store, window, BLOFIN) == [Interval(DAY[0], HOLE.start), Interval(HOLE.end, NOON_MS)]


def test_only_what_all_sources_lack_is_no_gap(store: CandleStore) -> None:
    window = wanted_series(store, sources=(BLOFIN, OKX))
    deny(store, window, HOLE, source=BLOFIN)
    deny(store, window, Interval(HOUR[15], HOUR[25]), source=OKX)

    assert gaps(store) == [Interval(DAY[0], HOUR[15]), Interval(HOUR[20], NOON_MS)]
    shown = status(store)
    assert (shown["missing_candles"], shown["absent_candles"]) == (1435, 5)


def test_a_source_whose_listing_is_refused_need_not_deny_a_bar(store: CandleStore) -> None:
    window = wanted_series(store, sources=(BLOFIN, OKX))
    deny(store, window, HOLE, source=BLOFIN)
    assert gaps(store) == [WHOLE]

    store.connection.execute(
        "INSERT INTO backfill.listings (instrument_id, source_id, venue_symbol, instrument_class, price_scale, "
        "volume_scale, status) SELECT instrument_id, %s, '', 'perpetual', 1, 1, 'refused' FROM backfill.series",
        (store.source_id(OKX),),
    )
    assert gaps(store) == [Interval(DAY[0], HOLE.start), Interval(HOLE.end, NOON_MS)]

    store.connection.execute("UPDATE backfill.listings SET status = 'unproved'")
    assert gaps(store) == [WHOLE]


def test_the_denial_of_a_source_that_is_not_asked_any_more_counts_for_nothing(store: CandleStore) -> None:
    window = wanted_series(store, sources=(BLOFIN,))

    deny(store, window, WHOLE, source=OKX)

    assert gaps(store) == [WHOLE]


def test_a_source_added_later_may_still_have_what_all_others_lack(store: CandleStore, window: SeriesWindow) -> None:
    deny(store, window, WHOLE)
    assert gaps(store) == []

    store.connection.execute(
        "UPDATE backfill.series SET source_ids = source_ids || %s::smallint", (store.source_id(OKX),)
    )

    assert gaps(store) == [WHOLE]
    assert askable(store, window, BLOFIN) == []


def test_a_series_without_sources_has_nothing_absent(store: CandleStore) -> None:
    wanted_series(store, sources=())

    assert gaps(store) == [WHOLE]


@pytest.mark.parametrize("which", [BLOFIN, OKX])
def test_a_denial_that_has_run_out_is_a_gap_again_for_that_source(store: CandleStore, which: str) -> None:
    window = wanted_series(store, sources=(BLOFIN, OKX))
    for source in (BLOFIN, OKX):
        deny(store, window, WHOLE, source=source)
    assert gaps(store) == []

    let_answers_run_out(store, which)

    other = OKX if which == BLOFIN else BLOFIN
    assert gaps(store) == [WHOLE]
    assert askable(store, window, which) == [WHOLE]
    assert askable(store, window, other) == []


def test_with_recheck_a_living_denial_is_asked_again_and_what_is_held_is_not(
    store: CandleStore, window: SeriesWindow
) -> None:
    store_bars(store, window, candles(HOUR))
    deny(store, window, Interval(DAY[0], HOUR[0]))

    assert askable(store, window, BLOFIN) == []
    assert askable(store, window, BLOFIN, recheck=True) == [Interval(DAY[0], HOUR[0])]


def test_a_bar_that_a_stranger_brings_is_held_although_it_was_denied(store: CandleStore, window: SeriesWindow) -> None:
    deny(store, window, WHOLE)

    insert_foreign(store.connection, foreign_rows(window.series_id, HOUR))

    shown = status(store)
    assert (shown["expected_candles"], shown["absent_candles"], shown["status"]) == (60, 1380, "complete")


def test_a_window_in_which_nothing_ever_traded_is_complete_and_covered(
    store: CandleStore, window: SeriesWindow
) -> None:
    deny(store, window, WHOLE)

    shown = status(store)
    assert (shown["status"], shown["coverage_pct"], shown["expected_candles"]) == ("complete", 100.0, 0)
    assert (shown["oldest_data"], shown["newest_data"]) == (None, None)


def test_the_views_agree_with_the_queries_about_now(store: CandleStore) -> None:
    """People read views, programs ask queries; both ask the database for the time."""
    now_ms = round(store.now().timestamp() * 1000)
    window = wanted_series(store, sources=(BLOFIN, OKX), timeframe="1h", now_ms=now_ms)
    hours = opens(window.start_ms, window.end_ms, HOUR_MS)
    store_bars(store, window, candles(hours[4:20]))
    for source in (BLOFIN, OKX):
        deny(store, window, Interval(hours[0], hours[2]), source=source)

    viewed = rows(store.connection, "SELECT gap_start, gap_end, missing_candles FROM backfill.gaps ORDER BY 1")
    asked = [
        (row["gap_start"], row["gap_end"], row["missing_candles"])
        for row in store.rows("ledger/select_gaps", Selection(utc(now_ms)))
    ]

    assert viewed == sorted(asked)
    assert [missing for _, _, missing in viewed] == [2, 4]
    assert rows(
        store.connection, "SELECT symbol, status, total_candles, expected_candles FROM backfill.sync_status"
    ) == [("BTC-USDT", "gaps", 16, 22)]


# -- grades --------------------------------------------------------------------------------------------------


def grades(store: CandleStore) -> list[tuple[str, int, list[Interval]]]:
    found = rows(store.connection, "SELECT grade, confirmations, absent FROM backfill.absences ORDER BY 1, 2")
    return [(grade, told, [Interval(r.lower, r.upper) for r in absent]) for grade, told, absent in found]


def test_one_answer_is_doubtful_and_stays_a_gap_that_may_be_asked_for_at_once(
    store: CandleStore, window: SeriesWindow
) -> None:
    be_silent(store, window, WHOLE, run=1)

    assert grades(store) == [("doubtful", 1, [WHOLE])]
    assert gaps(store) == [WHOLE]
    assert askable(store, window, BLOFIN) == [WHOLE]
    shown = status(store)
    assert (shown["status"], shown["missing_candles"], shown["doubtful_candles"]) == ("pending", 1440, 1440)


def test_the_same_run_confirms_nothing_and_another_does(store: CandleStore, window: SeriesWindow) -> None:
    assert be_silent(store, window, HOLE, run=1) == 10
    assert be_silent(store, window, HOLE, run=1) == 0
    assert grades(store) == [("doubtful", 1, [HOLE])]

    assert be_silent(store, window, HOLE, REST, run=2) == 20

    assert grades(store) == [("doubtful", 1, [REST]), ("doubtful", 2, [HOLE])]


def test_an_answer_with_bars_that_the_one_before_lacked_does_not_confirm_it(
    store: CandleStore, window: SeriesWindow
) -> None:
    be_silent(store, window, HOLE, run=1)

    store_bars(store, window, candles(HOUR[10:12]), absent=[Interval(HOUR[12], HOLE.end)], fill_run_id=2)
    assert grades(store) == [("doubtful", 1, [Interval(HOUR[12], HOLE.end)])]

    be_silent(store, window, Interval(HOUR[12], HOLE.end), run=3)
    assert grades(store) == [("doubtful", 2, [Interval(HOUR[12], HOLE.end)])]


def test_what_stays_in_doubt_is_asked_for_less_and_less_often(store: CandleStore, window: SeriesWindow) -> None:
    waits = []
    for minutes in (20, 120, 2880):
        store.connection.execute("DELETE FROM backfill.absences")
        be_silent(store, window, HOLE, run=1)
        store.connection.execute(
            "UPDATE backfill.absences SET first_seen_at = now() - make_interval(mins => %s)", (minutes,)
        )
        be_silent(store, window, HOLE, run=2)
        waits.append(round(lives(store)[0] / timedelta(minutes=1)))

    assert waits == [pytest.approx(20, abs=1), pytest.approx(120, abs=1), pytest.approx(240, abs=1)]


def test_a_gap_says_why_it_is_one(store: CandleStore) -> None:
    window = wanted_series(store, sources=(BLOFIN, OKX))
    be_silent(store, window, HOLE, run=1)
    be_silent(store, window, HOLE, REST, source=OKX, run=1)
    Silences(store.connection).record_proof(window, [], [Interval(HOUR[10], HOUR[12])])

    told = {
        (row["reason"], row["missing_candles"])
        for row in store.rows("ledger/select_gaps", Selection(utc(NOW_MS)))
        if row["reason"] != "not asked"
    }
    assert told == {("lost", 2), ("doubtful", 8)}

"""A bar whose only row broke a rule: neither held nor absent, asked for ever more rarely until it is settled."""

from __future__ import annotations

from typing import Any

import pytest

from backfill.domain.timeframes import utc
from backfill.jobs.by_hand.quarantine import discard, release
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import assert_equals_market
from integration.fallback.conftest import MARKET, Venues
from integration.fallback.fills import run, sources_stored, want
from integration.helpers import HOUR_MS, MINUTE_MS, NOON_MS, NOW_MS, one, rows
from integration.validation.validations import findings, validate

BARS = range(NOON_MS - 5 * HOUR_MS, NOON_MS - 5 * HOUR_MS + 3 * MINUTE_MS, MINUTE_MS)
FAULTS = ("high_below_low", "negative_volume", "zero_price", "no_close", "doubled")


def fault(venues: Venues, name: str, source: str = "blofin") -> None:
    venues[source].faults.on(name, symbol="BTC-USDT", timeframe="1m", opens_ms=BARS)


def rest_is_over(store: CandleStore, hours: int = 0) -> None:
    """As if so many hours had passed since the refusal, and its rest were over."""
    store.connection.execute(
        "UPDATE backfill.absences SET expires_at = now(), first_seen_at = first_seen_at - make_interval(hours => %s) "
        "WHERE grade = 'refused'",
        (hours,),
    )


def half_an_hour_later(store: CandleStore) -> None:
    store.connection.execute(
        "UPDATE backfill.absences SET first_seen_at = first_seen_at - interval '30 minutes' WHERE grade = 'refused'"
    )


def refused(store: CandleStore) -> int:
    sql = "SELECT coalesce(sum(backfill.covered_ms(absent)), 0) / 60000 FROM backfill.absences WHERE grade = 'refused'"
    return int(one(store.connection, sql))


def today(store: CandleStore, window: SeriesWindow) -> dict[str, Any]:
    sql = (
        "SELECT condition, refused, missing, reported_absent FROM backfill.conditions_at(%s) "
        "WHERE symbol = %s ORDER BY day DESC LIMIT 1"
    )
    (row,) = rows(store.connection, sql, (utc(NOW_MS), window.symbol))
    return dict(zip(("condition", "refused", "missing", "reported_absent"), row, strict=True))


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return want(store, sources=("blofin",))


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_asked_for_once_more_and_then_rests_and_turns_no_run_red(
    venues: Venues, store: CandleStore, window: SeriesWindow, name: str
) -> None:
    fault(venues, name)
    statuses, asked = [], []
    for _ in range(6):
        (report,) = run(venues, [window])
        (checked,) = validate(venues, [window])
        statuses.append(report.status)
        asked.append(venues.asked("blofin"))
        half_an_hour_later(store)
        assert checked.problems == [] or len(statuses) == 1

    assert statuses == ["partial"] + ["complete"] * 5
    assert asked[1:] == [asked[1]] * 5
    assert refused(store) == len(BARS)
    assert today(store, window) == {"condition": "doubtful", "refused": 3, "missing": 0, "reported_absent": 0}
    assert findings(store) == []
    sql = "SELECT count(*) FROM backfill.absences WHERE grade <> 'refused'"
    assert one(store.connection, sql) == 0, "a refused row is no silence"


def test_its_rest_grows_to_a_week(venues: Venues, store: CandleStore, window: SeriesWindow) -> None:
    fault(venues, "high_below_low")
    run(venues, [window])
    rests = []
    for hours in (1, 3, 10, 50, 500, 5000):
        rest_is_over(store, hours)
        run(venues, [window])
        hours_left = "round(extract(epoch FROM min(expires_at) - now()) / 3600)"
        sql = f"SELECT {hours_left} FROM backfill.absences WHERE grade = 'refused'"
        rests.append(float(one(store.connection, sql)))

    assert rests == sorted(rests)
    assert 1 <= rests[0] <= 2
    assert 167 <= rests[-1] <= 169
    assert rests[-2] == pytest.approx(rests[-1], abs=1)


@pytest.mark.parametrize("name", FAULTS)
def test_a_later_sound_row_settles_it(venues: Venues, store: CandleStore, window: SeriesWindow, name: str) -> None:
    fault(venues, name)
    run(venues, [window])
    half_an_hour_later(store)
    run(venues, [window])
    venues["blofin"].faults.off()
    run(venues, [window])
    assert refused(store) == 3, "it rests"
    rest_is_over(store)

    (report,) = run(venues, [window])

    assert (report.status, report.rows_inserted, refused(store)) == ("complete", 3, 0)
    assert_equals_market(store, window, MARKET)
    assert today(store, window)["condition"] == "available"


def test_a_later_silence_settles_it_as_any_silence(venues: Venues, store: CandleStore, window: SeriesWindow) -> None:
    fault(venues, "zero_price")
    run(venues, [window])
    venues["blofin"].faults.off()
    fault(venues, "missing")
    run(venues, [window])

    grades = rows(store.connection, "SELECT grade, backfill.covered_ms(absent) FROM backfill.absences")
    assert (refused(store), sum(ms for _, ms in grades)) == (0, len(BARS) * MINUTE_MS)


def test_another_source_gives_the_bar_and_the_primary_still_rests(venues: Venues, store: CandleStore) -> None:
    window = want(store)
    fault(venues, "high_below_low")
    for _ in range(3):
        run(venues, [window])
        half_an_hour_later(store)
    assert sources_stored(store, window)["okx"] == 3
    assert today(store, window)["condition"] == "degraded"
    asked = venues.asked("blofin")
    run(venues, [window])
    assert venues.asked("blofin") == asked

    venues["blofin"].faults.off()
    rest_is_over(store)
    run(venues, [window])
    assert_equals_market(store, window, MARKET)


@pytest.mark.parametrize(
    ("decide", "condition", "absent"),
    [(release, "available", 0), (discard, "available", 3)],
    ids=["release", "discard"],
)
def test_a_persons_decision_settles_it_for_good(
    venues: Venues, store: CandleStore, window: SeriesWindow, decide: Any, condition: str, absent: int
) -> None:
    fault(venues, "high_below_low")
    run(venues, [window])
    half_an_hour_later(store)
    run(venues, [window])
    ids = [number for (number,) in rows(store.connection, "SELECT id FROM backfill.quarantine")]
    if decide is discard:
        discard(store, ids, "a wick that never was")
    else:
        store.connection.execute("UPDATE backfill.quarantine SET payload = jsonb_set(payload, '{2}', '\"9999999\"')")
        release(store, ids, "the high is real", 10_000)

    assert refused(store) == 0
    assert (today(store, window)["condition"], today(store, window)["reported_absent"]) == (condition, absent)
    asked = venues.asked("blofin")
    for _ in range(3):
        run(venues, [window])
    assert venues.asked("blofin") == asked
    if decide is discard:  # the source says so again after a week
        store.connection.execute("UPDATE backfill.absences SET expires_at = now()")
        run(venues, [window])
        assert (refused(store), today(store, window)["reported_absent"]) == (0, absent)

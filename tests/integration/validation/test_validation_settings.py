"""What the universe's `validation:` section switches, and the document that `backfill validate --json` gives."""

from __future__ import annotations

import pytest

from backfill.domain.intervals import Interval
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import punch
from integration.fallback.conftest import Venues
from integration.fallback.fills import HOURS, run, want
from integration.helpers import HOUR_MS, MINUTE_MS, NOON_MS, opens
from integration.validation.validations import page_checks, validate

MOST = NOON_MS - 5 * HOUR_MS


def lose(venues: Venues, store: CandleStore, window: SeriesWindow, *gaps: Interval) -> None:
    """Filled but for some bars, which the source no longer gives."""
    run(venues, [window])
    punch(store, window, [ms for gap in gaps for ms in opens(*gap)])


@pytest.mark.parametrize(
    ("gaps", "max_gap_minutes", "problems"),
    [
        ([5], 5, 0),
        ([6], 5, 1),
        ([5, 5, 5], 5, 0),
        ([1], 0, 1),
        ([59], 60, 0),
        ([7, 3, 8], 5, 1),
        ([], 0, 0),
    ],
)
def test_a_gap_longer_than_is_acceptable_is_a_problem_whatever_the_objective(
    venues: Venues, store: CandleStore, gaps: list[int], max_gap_minutes: int, problems: int
) -> None:
    window = want(store, sources=("blofin",))
    starts = [MOST + number * 70 * MINUTE_MS for number in range(len(gaps))]
    lose(
        venues,
        store,
        window,
        *(Interval(ms, ms + bars * MINUTE_MS) for ms, bars in zip(starts, gaps, strict=True)),
    )
    venues["blofin"].faults.on("restricted")
    objective = window._replace(objective_pct=50.0)

    (report,) = validate(venues, [objective], max_gap_minutes=max_gap_minutes, next_timeframe=False)

    assert len(report.problems) == problems
    assert all(f"longer than {max_gap_minutes} minutes" in said for said in report.problems)
    assert report.missing == sum(gaps), "severity changes nothing about what is filled"


def test_a_gap_of_a_longer_bar_counts_in_minutes(venues: Venues, store: CandleStore) -> None:
    window = want(store, timeframe="1h", sources=("blofin",), history_ms=HOURS * HOUR_MS)
    lose(venues, store, window, Interval(MOST, MOST + HOUR_MS))
    venues["blofin"].faults.on("restricted")
    objective = window._replace(objective_pct=50.0)

    assert len(validate(venues, [objective], max_gap_minutes=59)[0].problems) == 1
    assert validate(venues, [objective], max_gap_minutes=60)[0].problems == []


@pytest.mark.parametrize(
    ("providers", "asked"),
    [(None, {"okx"}), (("bybit",), {"bybit"}), (("bybit", "okx"), {"bybit"}), (("blofin",), set())],
)
def test_only_providers_are_compared_with_in_their_order(
    venues: Venues, store: CandleStore, providers: tuple[str, ...] | None, asked: set[str]
) -> None:
    window = want(store, sources=("blofin", "okx", "bybit"))
    run(venues, [window])

    validate(venues, [window], providers=providers)

    verdicts = {(verdict, source) for verdict, source, _ in page_checks(store, "cross_source")}
    assert {source for verdict, source in verdicts if verdict == "agree"} == asked
    assert ("unverified", None) in verdicts or asked

"""Which pages are compared with another source, and when."""

from __future__ import annotations

import pytest

from backfill.config.universe_model import Validation
from backfill.domain.intervals import Interval, difference, total_ms
from backfill.domain.timeframes import utc
from backfill.jobs.validate.compare_sources import pages_due
from backfill.jobs.validate.validation_context import ValidationContext
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import Finding
from backfill.storage.series import SeriesWindow
from backfill.storage.source_health import SourceHealth
from integration.exchange import punch
from integration.fallback.conftest import Open, Venues
from integration.fallback.fills import run, want
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, NOW_MS, one
from integration.validation.validations import insert_native, page_checks, validate

RUNS_A_WEEK = 7 * 48


def check_of(store: CandleStore, window: SeriesWindow, *, at_ms: int = NOW_MS, **how: object) -> ValidationContext:
    return ValidationContext(store, window, Validation(**how), 0, SourceHealth(store.connection, "run"), utc(at_ms))


def hold(store: CandleStore, window: SeriesWindow, held: str) -> None:
    """Say of a series what it holds, without a candle."""
    store.connection.execute("UPDATE backfill.series SET held = %s WHERE id = %s", (held, window.series_id))


def look_at(check: ValidationContext, pages: list[Interval], verdict: str = "agree") -> None:
    checked = [
        Finding("cross_source", verdict, check.window.series_id, 1, page.start, page.end, status="settled")
        for page in pages
    ]
    check.findings.record(checked)


def test_a_year_of_minutes_is_verified_within_a_week_by_few_questions_a_run(store: CandleStore) -> None:
    window = want(store, history_ms=365 * DAY_MS)
    hold(store, window, f"{{[{window.start_ms},{window.end_ms})}}")
    check = check_of(store, window)
    most = runs = 0
    while pages := pages_due(check, 1000):
        assert all(page.end - page.start <= 1000 * MINUTE_MS for page in pages)
        most, runs = max(most, len(pages)), runs + 1
        look_at(check, pages)
        assert runs <= RUNS_A_WEEK

    assert most <= 3, "526 pages in 336 runs, and the newest"
    assert total_ms(check.to_check().compared) == 365 * DAY_MS
    hold(store, window, "{}")


def test_pages_that_nobody_could_verify_do_not_keep_others_waiting(store: CandleStore) -> None:
    window = want(store, history_ms=DAY_MS)
    hold(store, window, f"{{[{window.start_ms},{window.end_ms})}}")
    check = check_of(store, window)
    seen: list[Interval] = []
    for _ in range(20):
        pages = pages_due(check, 100)
        look_at(check, pages, "unverified")
        seen += pages

    assert difference([Interval(window.start_ms, window.end_ms)], seen) == []
    assert pages_due(check, 100), "they stay due"
    hold(store, window, "{}")


@pytest.mark.parametrize(
    ("how", "at_once", "in_all"),
    [
        ({}, 2, 24 * 60),
        ({"every": False}, 1, None),
        ({"newest_page": False, "every": False}, 0, 0),
    ],
    ids=["both", "the newest page", "nothing"],
)
def test_the_universe_says_which_pages_are_compared(
    store: CandleStore, how: dict[str, object], at_once: int, in_all: int | None
) -> None:
    window = want(store, history_ms=DAY_MS)
    hold(store, window, f"{{[{window.start_ms},{window.end_ms})}}")
    check = check_of(store, window, **how)
    assert len(pages_due(check, 300)) == at_once
    if in_all is not None:
        while pages := pages_due(check, 300):
            look_at(check, pages)
        assert total_ms(check.to_check().compared) == in_all * MINUTE_MS
    hold(store, window, "{}")


def test_without_the_newest_page_the_share_of_a_run_is_old_pages(store: CandleStore) -> None:
    window = want(store, history_ms=DAY_MS)
    seen: list[Interval] = []
    for number in range(48):
        at_ms = NOW_MS + number * 30 * MINUTE_MS
        grown = window._replace(end_ms=at_ms - at_ms % MINUTE_MS)
        hold(store, grown, f"{{[{window.start_ms},{grown.end_ms})}}")
        check = check_of(store, grown, at_ms=at_ms, newest_page=False)
        pages = pages_due(check, 100)
        assert len(pages) <= 1
        look_at(check, pages)
        seen += pages

    assert difference([Interval(window.start_ms, NOON_MS)], seen) == []
    hold(store, window, "{}")


def test_a_run_asks_for_the_newest_page_and_one_old_one(venues: Venues, store: CandleStore, opened: Open) -> None:
    venues.replace("okx", opened("okx", difference_bp=0.2))
    window = want(store, history_ms=2 * DAY_MS)
    insert_native(store, window)
    validate(venues, [window], every=False, newest_page=False)
    validate(venues, [window])  # so that the listing is proved
    venues.forget_counts()
    asked = []
    for _ in range(3):
        validate(venues, [window])
        asked.append(venues.asked("okx"))

    assert asked == [1, 2, 3], "the newest page has been compared"
    punch(store, window, [window.end_ms - MINUTE_MS])
    run(venues, [window])
    validate(venues, [window], every=False)
    assert venues.asked("okx") == 3, "a bar within a page that was compared is compared with the page's next turn"


def test_bars_that_no_other_source_has_are_not_asked_for_with_every_run(
    venues: Venues, store: CandleStore, opened: Open
) -> None:
    window = want(store, sources=("blofin", "okx"))
    run(venues, [window])
    validate(venues, [window])
    store.connection.execute("DELETE FROM backfill.findings")
    venues["okx"].faults.on("missing", symbol="BTC-USDT", timeframe="1m")
    for _ in range(3):
        (report,) = validate(venues, [window])
    venues.forget_counts()

    (report,) = validate(venues, [window])

    assert (venues.asked("okx"), report.problems) == (0, [])
    assert {verdict for verdict, _, _ in page_checks(store, "cross_source")} == {"unverified"}


def test_what_the_first_source_lacks_is_compared_with_the_next(
    venues: Venues, store: CandleStore, opened: Open
) -> None:
    for name in ("okx", "bybit"):
        venues.replace(name, opened(name, difference_bp=0.2))
    window = want(store)
    run(venues, [window])
    early = list(range(window.start_ms, NOON_MS - 4 * HOUR_MS, MINUTE_MS))
    venues["okx"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms=early)

    for _ in range(4):
        (report,) = validate(venues, [window])

    checks = page_checks(store, "cross_source")
    assert {(verdict, who) for verdict, who, _ in checks} == {("agree", "okx"), ("agree", "bybit")}
    assert report.notes == []
    assert report.requests == 0


def test_a_source_does_not_vote_on_its_own_candles(venues: Venues, store: CandleStore, opened: Open) -> None:
    for name in ("okx", "bybit", "binanceusdm"):
        venues.replace(name, opened(name, difference_bp=0.2))
    an_hour_ago = NOON_MS - HOUR_MS
    window = want(store)
    run(venues, [window])
    venues["bybit"].faults.on("revised", symbol="BTC-USDT", timeframe="1m", opens_ms={an_hour_ago})
    punch(store, window, [an_hour_ago])
    with venues.refusing("blofin"):
        run(venues, [window], only=["bybit"])
        validate(venues, [window])

    voters = "SELECT array_agg(DISTINCT detail ->> 'voter') FROM backfill.findings WHERE field = 'close'"
    assert one(store.connection, voters) == ["binanceusdm"]


def test_a_bar_that_was_replaced_is_compared_anew(venues: Venues, store: CandleStore, opened: Open) -> None:
    venues.replace("okx", opened("okx", difference_bp=0.2))
    an_hour_ago = NOON_MS - HOUR_MS
    window = want(store)
    venues["blofin"].faults.on("revised", symbol="BTC-USDT", timeframe="1m", opens_ms={an_hour_ago})
    run(venues, [window])
    for _ in range(5):
        (report,) = validate(venues, [window])
    assert report.open_findings["cross_source"] > 0
    venues["blofin"].faults.off()
    punch(store, window, [NOON_MS - MINUTE_MS])
    (filled,) = run(venues, [window])
    assert filled.rows_revised == 1, "the overlap has brought the right one"
    venues.forget_counts()

    (report,) = validate(venues, [window])

    assert (report.problems, report.requests) == ([], 1)
    (report,) = validate(venues, [window])
    assert report.requests == 0

"""Stored candles beside another source's."""

from __future__ import annotations

import pytest

from backfill.domain.timeframes import utc
from backfill.errors import DatabaseError
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import candles_in_database, punch
from integration.fallback.conftest import Open, Venues
from integration.fallback.fills import native_candles, run, want
from integration.helpers import HOUR_MS, MINUTE_MS, NOON_MS, rows
from integration.validation.validations import findings, page_checks, revisions, validate

pytestmark = pytest.mark.long

AN_HOUR_AGO = NOON_MS - HOUR_MS


@pytest.fixture
def window(venues: Venues, store: CandleStore, opened: Open) -> SeriesWindow:
    """Six hours of BTC minutes from their primary source; the others are as near to it as real venues of BTC are."""
    for name in ("okx", "bybit"):
        venues.replace(name, opened(name, difference_bp=0.2))
    wanted = want(store)
    run(venues, [wanted])
    venues.forget_counts()
    return wanted


def scale(store: CandleStore, window: SeriesWindow, open_ms: int, factor: float) -> None:
    """As whoever has write access and a bug."""
    store.connection.execute(
        "UPDATE backfill.candles SET open = open * %(by)s, high = high * %(by)s, low = low * %(by)s, "
        "close = close * %(by)s WHERE series_id = %(series)s AND open_time = %(open)s",
        {"by": factor, "series": window.series_id, "open": utc(open_ms)},
    )


def test_candles_on_which_two_venues_agree_are_said_to_agree(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    (report,) = validate(venues, [window])

    assert (report.problems, report.notes) == ([], [])
    assert report.counts["compared"] == report.counts["agreed"] > 0
    assert {verdict for verdict, _, _ in page_checks(store, "cross_source")} == {"agree"}
    assert findings(store) == []
    assert venues.asked("bybit") == venues.asked("binanceusdm") == 0, "one other source is enough"


def test_every_page_is_compared_once_and_not_again_until_it_is_due(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    for _ in range(5):
        validate(venues, [window])
    venues.forget_counts()

    (report,) = validate(venues, [window])

    assert (report.requests, venues.asked("okx"), venues.asked("blofin")) == (0, 0, 0)
    spans = rows(
        store.connection,
        "SELECT backfill.covered_ms(range_agg(int8range(backfill.epoch_ms(start_time), backfill.epoch_ms(end_time)))) "
        "FROM backfill.findings WHERE kind = 'cross_source' AND field IS NULL",
    )
    assert spans == [(window.end_ms - window.start_ms,)]


def test_a_candle_that_somebody_spoilt_is_asked_for_again_and_mended(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    scale(store, window, AN_HOUR_AGO, 1.05)

    (report,) = validate(venues, [window])

    assert candles_in_database(store, window) == native_candles(window)
    assert revisions(store, window) == [(AN_HOUR_AGO, "provider_correction")]
    assert report.problems == []
    assert findings(store) == []


def test_what_the_primary_stands_by_is_put_to_the_vote_and_stays_a_finding(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    venues["blofin"].faults.on("revised", symbol="BTC-USDT", timeframe="1m", opens_ms={AN_HOUR_AGO})
    punch(store, window, [AN_HOUR_AGO])
    run(venues, [window])

    (report,) = validate(venues, [window])

    found = findings(store, "cross_source")
    assert {one["start_ms"] for one in found} == {AN_HOUR_AGO}
    assert {one["field"] for one in found} <= {"open", "high", "low", "close"}
    assert all((one["verdict"], one["source"]) == ("disagree", "okx") for one in found)
    assert all(one["detail"]["voter"] == "bybit" for one in found)
    (close,) = [one for one in found if one["field"] == "close"]
    assert close["detail"]["vote"] == "other"
    assert close["difference"] == pytest.approx(close["stored"] / close["other"] - 1)
    assert report.open_findings["cross_source"] == len(found)
    assert any("open findings" in problem for problem in report.problems)


def test_a_third_source_that_sides_with_the_stored_candle_settles_it(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    venues["okx"].faults.on("revised", symbol="BTC-USDT", timeframe="1m", opens_ms={AN_HOUR_AGO})

    (report,) = validate(venues, [window])

    assert findings(store) == []
    settled = [one for one in findings(store, "cross_source", status="settled") if one["field"]]
    assert [(one["verdict"], one["detail"]["vote"]) for one in settled] == [("agree", "stored")] * len(settled)
    assert settled
    assert report.problems == []


def test_without_another_source_the_verdict_is_unverified_and_nothing_fails(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    for name in ("okx", "bybit", "binanceusdm"):
        venues[name].faults.on("geo_block")

    (report,) = validate(venues, [window], on_failure="fail")

    assert report.problems == []
    assert report.counts["unverified"] > 0
    assert "compared" not in report.counts
    assert any("unverified" in note for note in report.notes)
    assert {(verdict, who) for verdict, who, _ in page_checks(store, "cross_source")} == {("unverified", None)}
    sql = "SELECT status, validation ->> 'unverified' FROM backfill.gap_fill_runs WHERE task_id = 'validate'"
    assert rows(store.connection, sql) == [("complete", str(report.counts["unverified"]))]


def test_what_was_unverified_is_verified_when_others_are_back(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    for name in ("okx", "bybit", "binanceusdm"):
        venues[name].faults.on("geo_block")
    validate(venues, [window])
    for name in ("okx", "bybit", "binanceusdm"):
        venues[name].faults.off()

    validate(venues, [window])

    assert {verdict for verdict, _, _ in page_checks(store, "cross_source")} == {"agree"}


def test_candles_of_a_stand_in_are_compared_with_another_source_than_itself(venues: Venues, store: CandleStore) -> None:
    wanted = want(store)
    venues["blofin"].faults.on("error_503")
    run(venues, [wanted])

    (report,) = validate(venues, [wanted])

    assert report.counts["compared"] > 0
    assert {who for _, who, _ in page_checks(store, "cross_source")} == {"bybit"}


def test_bars_that_only_one_side_has_are_counted(venues: Venues, store: CandleStore, window: SeriesWindow) -> None:
    store.connection.execute(
        "DELETE FROM backfill.candles WHERE series_id = %s AND open_time = %s", (window.series_id, utc(AN_HOUR_AGO))
    )
    lacking_ms = {AN_HOUR_AGO + MINUTE_MS, AN_HOUR_AGO + 2 * MINUTE_MS}
    venues["okx"].faults.on("missing", symbol="BTC-USDT", timeframe="1m", opens_ms=lacking_ms)

    (report,) = validate(venues, [window])

    assert (report.counts["only_other"], report.counts["only_stored"]) == (1, 2)


def test_a_whole_series_of_another_instrument_is_one_finding(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    validate(venues, [window], every=False)  # so that the listing is proved
    store.connection.execute("DELETE FROM backfill.findings")
    scale_all = (
        "UPDATE backfill.candles SET open = open * 1.3, high = high * 1.3, low = low * 1.3, close = close * 1.3, "
        "quote_volume = quote_volume * 1.3 WHERE series_id = %s"
    )
    store.connection.execute(scale_all, (window.series_id,))
    venues["blofin"].faults.on("error_503")  # it cannot say otherwise

    (report,) = validate(venues, [window], every=False)

    (found,) = findings(store)
    assert (found["kind"], found["verdict"]) == ("wrong_scale", "disagree")
    assert found["detail"]["ratio"] == pytest.approx(1.3, rel=0.01)
    assert report.open_findings == {"wrong_scale": 1}


def test_the_ledger_is_free_again_after_a_validation_that_broke(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    store.connection.execute("ALTER TABLE backfill.findings RENAME TO hidden")
    with pytest.raises(DatabaseError):
        validate(venues, [window])
    store.connection.execute("ALTER TABLE backfill.hidden RENAME TO findings")

    validate(venues, [window])

    sql = "SELECT status FROM backfill.gap_fill_runs WHERE task_id = 'validate' ORDER BY id"
    assert rows(store.connection, sql) == [("failed",), ("complete",)]


def test_a_close_that_is_off_within_its_bar_shows_where_the_next_one_opens(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    """No other source can say it; the series' own joints do."""
    for name in ("okx", "bybit", "binanceusdm"):
        venues[name].faults.on("geo_block")
    store.connection.execute(
        "UPDATE backfill.candles SET close = (high + low) / 2 WHERE series_id = %s AND open_time = %s",
        (window.series_id, utc(AN_HOUR_AGO)),
    )

    validate(venues, [window])

    assert candles_in_database(store, window) == native_candles(window)
    assert findings(store, "continuity") == []


def test_a_broken_joint_that_the_primary_stands_by_is_a_suspect_until_another_source_shows_it(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    for name in ("okx", "bybit", "binanceusdm"):
        venues[name].faults.on("geo_block")
    venues["blofin"].faults.on("revised", symbol="BTC-USDT", timeframe="1m", opens_ms={AN_HOUR_AGO})
    punch(store, window, [AN_HOUR_AGO])
    run(venues, [window])

    (report,) = validate(venues, [window], on_failure="fail")

    assert report.problems == []
    (found,) = findings(store, "continuity")
    assert (found["verdict"], found["start_ms"]) == ("suspect", AN_HOUR_AGO)
    assert found["difference"] == pytest.approx(abs(found["stored"] / found["other"] - 1))


def test_the_verdict_says_what_the_pair_resolves(venues: Venues, store: CandleStore, window: SeriesWindow) -> None:
    (report,) = validate(venues, [window])

    assert 0 < report.resolves_pct["okx"] < 0.5
    assert f"resolves {report.resolves_pct['okx']:.2g} % beside okx" in str(report)
    details = rows(store.connection, "SELECT detail FROM backfill.findings WHERE kind = 'cross_source'")
    assert all(detail["resolves"] > 0 and detail["silent"] == 0 for (detail,) in details)


def test_columns_that_somebody_swapped_are_asked_for_again_and_mended(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    swap = (
        "UPDATE backfill.candles SET volume = quote_volume, quote_volume = volume "
        "WHERE series_id = %s AND open_time >= %s AND open_time < %s"
    )
    store.connection.execute(swap, (window.series_id, utc(AN_HOUR_AGO), utc(AN_HOUR_AGO + 5 * MINUTE_MS)))

    (report,) = validate(venues, [window])

    assert candles_in_database(store, window) == native_candles(window)
    assert report.problems == []


def test_columns_that_the_primary_itself_swaps_are_one_finding(
    venues: Venues, store: CandleStore, window: SeriesWindow
) -> None:
    venues["blofin"].faults.on("error_503")
    swap = "UPDATE backfill.candles SET volume = quote_volume, quote_volume = volume WHERE series_id = %s"
    store.connection.execute(swap, (window.series_id,))

    (report,) = validate(venues, [window], every=False)

    (found,) = findings(store, "quantities")
    assert (found["verdict"], found["field"]) == ("disagree", "quote_volume")
    assert report.open_findings == {"quantities": 1}

"""The primary source is cut off, in mid-run or for ever: others fill, and its own candles are restored later."""

from __future__ import annotations

import pytest

from backfill.config.settings import Settings
from backfill.paper.limits import HouseRules, RequestWindow
from backfill.storage.candle_store import CandleStore
from integration.exchange import candles_in_database, punch
from integration.fallback.conftest import Open, Venues
from integration.fallback.fills import (
    assert_near_native,
    health,
    listing,
    native_candles,
    run,
    sources_stored,
    stand_in_is_empty,
    stand_in_ms,
    want,
)
from integration.helpers import HOUR_MS, MINUTE_MS, assert_held_is_true, one, opens, rows

LATE_MS = 10 * MINUTE_MS


@pytest.mark.parametrize("fault", ["firewall", "error_503", "html", "hanging", "closed"])
def test_cut_off_in_mid_run_the_primary_leaves_the_rest_to_the_next(
    store: CandleStore, venues: Venues, fault: str
) -> None:
    """The first hours are the primary source's; then it fails, and each bar names who gave it."""
    windows = [want(store, symbol) for symbol in ("BTC-USDT", "ETH-USDT")]
    run(venues, windows, only=["blofin"])
    for window in windows:
        punch(store, window, opens(window.end_ms - 2 * HOUR_MS, window.end_ms))
    venues.timeout_s["blofin"] = 0.2
    venues["blofin"].faults.on(fault)

    reports = run(venues, windows)
    venues["blofin"].faults.off()  # lets go of those who hang

    for window, report in zip(windows, reports, strict=True):
        assert (report.status, report.missing_before, report.missing_after) == ("complete", 120, 0)
        assert report.sources == {"okx": 120}
        assert str(report.error).startswith("blofin: ")
        assert sources_stored(store, window) == {"blofin": 240, "okx": 120}
        assert stand_in_ms(store, window) == 2 * HOUR_MS
        last_hours = range(window.end_ms - 2 * HOUR_MS, window.end_ms, MINUTE_MS)
        assert_near_native(store, window, volume_share=1.4, opens_ms=last_hours)


def test_banned_in_the_middle_of_a_walk_the_primary_has_given_some_pages_and_gives_the_rest_when_the_ban_is_over(
    store: CandleStore, venues: Venues, opened: Open
) -> None:
    three_requests = HouseRules((RequestWindow(3, 60_000, suspension_ms=300_000, status=403),))
    venues.replace("blofin", opened("blofin", limits=three_requests))
    venues.settings = Settings(batch_limit=60, pages_in_flight=1)
    window = want(store)

    (cut,) = run(venues, [window])

    assert (cut.status, cut.sources) == ("complete", {"blofin": 180, "okx": 180})
    assert "the firewall has banned our address (HTTP 403)" in str(cut.error)
    assert stand_in_ms(store, window) == 3 * HOUR_MS
    (paused,) = run(venues, [window])
    assert (paused.status, paused.requests) == ("complete", 0)
    assert "paused for all processes" in str(paused.error)

    venues.replace("blofin", opened("blofin"))
    store.connection.execute("UPDATE backfill.rate_budgets SET paused_until = now() - interval '1 minute'")
    (back,) = run(venues, [window])

    assert (back.status, back.rows_revised) == ("complete", 180)
    assert candles_in_database(store, window) == native_candles(window)
    assert stand_in_is_empty(store, window)


def test_when_the_primary_returns_its_own_candles_are_restored_and_the_others_kept_as_revisions(
    store: CandleStore, venues: Venues
) -> None:
    window = want(store)
    run(venues, [window], only=["blofin"])
    punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))
    with venues.refusing("blofin"):
        assert run(venues, [window])[0].sources == {"okx": 60}
    stood_in = candles_in_database(store, window)[-60:]

    (report,) = run(venues, [window])

    assert (report.status, report.rows_revised, report.rows_inserted) == ("complete", 60, 0)
    assert candles_in_database(store, window) == native_candles(window)
    assert sources_stored(store, window) == {"blofin": 360}
    assert stand_in_is_empty(store, window)
    assert_held_is_true(store.connection)
    kept = rows(
        store.connection,
        "SELECT (extract(epoch FROM open_time) * 1000)::bigint, open, high, low, close, volume, quote_volume "
        "FROM backfill.revisions WHERE reason = 'native_restored' ORDER BY open_time",
    )
    assert kept == stood_in
    assert one(store.connection, "SELECT count(*) FROM backfill.revisions") == 60
    venues.forget_counts()
    assert run(venues, [window])[0].requests == 0


def test_a_bar_that_the_primary_denies_keeps_its_stand_in(store: CandleStore, venues: Venues) -> None:
    window = want(store)
    run(venues, [window], only=["blofin"])
    hole = opens(window.end_ms - 3 * HOUR_MS, window.end_ms - 2 * HOUR_MS)
    punch(store, window, [*hole, window.end_ms - HOUR_MS])
    with venues.refusing("blofin"):
        run(venues, [window])
    venues["blofin"].faults.on("missing", symbol="BTC-USDT", opens_ms=hole)

    (back,) = run(venues, [window])

    assert (back.status, back.rows_revised, back.absent_found) == ("complete", 1, 60)
    assert sources_stored(store, window) == {"blofin": 300, "okx": 60}
    venues.forget_counts()
    (again,) = run(venues, [window])
    # Another source has those bars, so they are in doubt for the primary source, and no other is asked.
    assert (again.status, again.rows_inserted, again.requests) == ("complete", 0, venues.asked("blofin"))
    assert sources_stored(store, window) == {"blofin": 300, "okx": 60}

    store.connection.execute("UPDATE backfill.absences SET expires_at = now() - interval '1 second'")
    venues["blofin"].faults.off()
    assert run(venues, [window])[0].rows_revised == 60
    assert candles_in_database(store, window) == native_candles(window)


def test_a_series_the_primary_has_given_nothing_of_is_proved_by_two_others_and_anew_by_the_home(
    store: CandleStore, venues: Venues
) -> None:
    window = want(store)
    with venues.refusing("blofin"):
        (report,) = run(venues, [window])
        assert (report.status, report.sources) == ("complete", {"okx": 360})
        assert listing(store, "BTC-USDT", "okx")["proved_by"] == "bybit"

    assert run(venues, [window])[0].rows_revised == 360
    punch(store, window, [window.end_ms - 2 * HOUR_MS])
    with venues.refusing("blofin"):
        assert run(venues, [window])[0].sources == {"okx": 1}
    assert listing(store, "BTC-USDT", "okx")["proved_by"] == "primary"


def test_others_that_disagree_with_each_other_prove_nothing(store: CandleStore, venues: Venues, opened: Open) -> None:
    """Under this name one of them has another coin; without the primary source nothing shows which."""
    venues.replace("okx", opened("okx", traps=["collision"]))
    window = want(store, "WIF-USDT", sources=("blofin", "okx", "bybit"))

    with venues.refusing("blofin"):
        (report,) = run(venues, [window])

    assert (report.status, report.missing_after, sources_stored(store, window)) == ("failed", 360, {})
    assert {listing(store, "WIF-USDT", name)["status"] for name in ("okx", "bybit")} == {"refused"}


def test_one_other_alone_proves_nothing_either(store: CandleStore, venues: Venues) -> None:
    window = want(store, sources=("blofin", "okx"))
    with venues.refusing("blofin"):
        (report,) = run(venues, [window])
    assert (report.status, sources_stored(store, window)) == ("failed", {})
    assert listing(store, "BTC-USDT", "okx")["status"] == "unproved"


def test_a_primary_with_a_few_bars_only_leaves_the_proof_to_others(store: CandleStore, venues: Venues) -> None:
    window = want(store)
    run(venues, [window], only=["blofin"])
    punch(store, window, opens(window.start_ms + 10 * MINUTE_MS, window.end_ms))

    with venues.refusing("blofin"):
        (report,) = run(venues, [window])

    assert (report.status, report.sources) == ("complete", {"okx": 350})
    assert listing(store, "BTC-USDT", "okx")["proved_by"] == "bybit"


def test_a_stand_in_never_replaces_a_native_candle_and_corrects_its_own(store: CandleStore, venues: Venues) -> None:
    window = want(store)
    run(venues, [window], only=["blofin"])
    punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))
    with venues.refusing("blofin"):
        run(venues, [window])
        native = candles_in_database(store, window)[:-60]
        punch(store, window, [window.end_ms - 30 * MINUTE_MS])
        venues["okx"].faults.on("revised", symbol="BTC-USDT", timeframe="1m")

        (report,) = run(venues, [window])

    assert (report.rows_inserted, report.rows_revised) == (1, 30)  # those of its page
    assert candles_in_database(store, window)[:-60] == native
    assert rows(store.connection, "SELECT reason, count(*) FROM backfill.revisions GROUP BY 1") == [
        ("provider_correction", 30)
    ]


def test_a_partial_answer_is_stored_and_the_rest_goes_on_to_the_next(store: CandleStore, venues: Venues) -> None:
    window = want(store)
    run(venues, [window], only=["blofin"])
    punch(store, window, opens(window.end_ms - 2 * HOUR_MS, window.end_ms))
    lacking = opens(window.end_ms - 90 * MINUTE_MS, window.end_ms - 60 * MINUTE_MS)
    venues["okx"].faults.on("missing", symbol="BTC-USDT", opens_ms=lacking)

    with venues.refusing("blofin"):
        (report,) = run(venues, [window])

    assert (report.status, report.sources) == ("complete", {"okx": 90, "bybit": 30})
    assert venues.asked("binanceusdm") == 0


def test_sources_are_asked_in_the_order_that_is_named_and_no_other(store: CandleStore, venues: Venues) -> None:
    window = want(store)
    run(venues, [window], only=["blofin"])
    punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))
    venues.forget_counts()

    (report,) = run(venues, [window], only=["binance", "binanceusdm", "okx"])

    assert (report.status, report.sources) == ("complete", {"binanceusdm": 60})
    assert "binance: BTC-USDT: the universe does not name this source" in str(report.error)
    assert [venues.asked(name) for name in ("blofin", "okx", "bybit", "binance")] == [0, 0, 0, 0]


def test_a_spot_book_stands_in_only_where_the_universe_allows_it(store: CandleStore, venues: Venues) -> None:
    window = want(store, sources=("blofin", "binance"))
    run(venues, [window], only=["blofin"])
    punch(store, window, opens(window.end_ms - HOUR_MS, window.end_ms))

    (refused,) = run(venues, [window], leave_out=["blofin"])
    assert (refused.status, refused.missing_after) == ("failed", 60)
    assert listing(store, "BTC-USDT", "binance")["reason"] == (
        "binance has spot books only, and BTC-USDT allows no stand-in"
    )

    (allowed,) = run(venues, [window._replace(spot_proxy=True)], leave_out=["blofin"])
    assert (allowed.status, allowed.sources) == ("complete", {"binance": 60})
    assert run(venues, [window])[0].rows_revised == 60
    assert sources_stored(store, window) == {"blofin": 360}
    assert health(store)["binance"] == "closed"

"""``backfill explain`` of a bar that has no candle: why there is none."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from backfill.domain.intervals import Interval
from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.findings import FindingsLog
from backfill.storage.series import SeriesWindow
from integration.cli.conftest import Cli
from integration.cli.explained_bar import BAR, BAR_MS, BROKEN, give, kept_for_years, list_market, proof, story, verdicts
from integration.helpers import DAY_MS, MINUTE_MS, NOON_MS, candles, store_bars, wanted_series


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return kept_for_years(store)


def update_series(store: CandleStore, assignment: str, *params: Any) -> None:
    store.connection.execute(f"UPDATE backfill.series SET {assignment}", params)


def update_instrument(store: CandleStore, assignment: str, *params: Any) -> None:
    store.connection.execute(f"UPDATE backfill.instruments SET {assignment}", params)


def test_a_gap_names_whom_nobody_has_asked_and_who_has_none(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    bar = Interval(BAR_MS, BAR_MS + MINUTE_MS)
    store_bars(store, window, candles([]), source="blofin", absent=[bar])
    list_market(store, status="refused", reason="another coin")
    put = QuarantinedRow(BAR_MS, "high_is_not_highest", BROKEN)
    store_bars(store, window, candles([]), source="bybit", quarantined=[put])

    said = cli("explain", "BTC-USDT", "1m", BAR, "--json")
    shown = cli("explain", "BTC-USDT", "1m", BAR).out

    assert said.code == 3
    assert (said.document["state"], said.document["candle"]) == ("gap", None)
    assert [(one["source"], one["confirmations"]) for one in said.document["sources"]] == [
        ("blofin", 2),
        ("okx", None),
        ("bybit", None),
    ]
    assert [one["rule"] for one in said.document["quarantine"]] == ["high_is_not_highest"]
    assert "no candle, gap: a source is still to be asked for it" in shown
    assert re.search(r"blofin: has answered that it has none, believed until \d{4}-", shown)
    assert "okx: its listing is refused: another coin" in shown
    assert "bybit: has not been found to lack it" in shown


def test_what_everybody_has_denied_is_absent_until_nobody_believes_it_any_more(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    bar = Interval(BAR_MS, BAR_MS + MINUTE_MS)
    for source in ("blofin", "okx", "bybit"):
        store_bars(store, window, candles([]), source=source, absent=[bar])

    believed = story(cli)["state"]
    store.connection.execute("UPDATE backfill.absences SET expires_at = now() - interval '1 hour'")

    assert (believed, story(cli)["state"]) == ("absent", "gap")
    assert "it may be asked again" in cli("explain", "BTC-USDT", "1m", BAR).out


@pytest.mark.parametrize("state", ["no_trade", "lost"])
def test_what_coarser_bars_have_proved_of_a_missing_bar_is_said(
    cli: Cli, store: CandleStore, window: SeriesWindow, state: str
) -> None:
    update_series(store, f"{state} = int8multirange(int8range(%s, %s))", BAR_MS, BAR_MS + MINUTE_MS)
    FindingsLog(store.connection).record([proof(window, window.source_ids[0])])

    told = story(cli)

    assert told["state"] == state
    assert verdicts(told, "proved") == {"blofin": state}


def test_a_bar_outside_the_window_says_what_bounds_it(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    noon, day = utc(NOON_MS), timedelta(days=1)

    def told() -> tuple[str, str]:
        found = story(cli)
        return found["state"], found["why"]

    assert told()[0] == "gap"
    update_series(store, "history_ms = %s", DAY_MS)
    assert told()[0] == "outside_window"
    update_series(store, "retention_ms = %s", 2 * DAY_MS)
    assert told()[0] == "pruned"
    update_series(store, "history_ms = %s, retention_ms = NULL, until = %s", 3650 * DAY_MS, noon - day)
    assert told() == ("outside_window", "the window ends at 2026-03-09 12:00 UTC")
    update_series(store, "until = NULL")
    update_instrument(store, "list_time = %s", noon + timedelta(seconds=30))
    assert told() == ("not_listed_yet", "blofin lists it since 2026-03-10 12:00 UTC")
    update_instrument(store, "list_time = NULL, state = 'unlisted', last_listed_at = %s", noon - day)
    assert told() == ("delisted", "blofin listed it until 2026-03-09 12:00 UTC")
    update_series(store, "wanted = false")
    assert told()[0] == "not_wanted"


def test_a_bar_that_is_not_over_yet_is_no_gap(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    running = store.now().replace(second=0, microsecond=0) + timedelta(minutes=2)

    assert story(cli, at=running.isoformat())["state"] == "not_closed"
    assert story(cli, at="9999-12-31T23:59Z")["state"] == "not_closed"
    assert story(cli, at="0001-01-01T00:00Z")["state"] == "outside_window"


def test_a_ledger_that_claims_a_candle_that_is_not_there_is_told_of(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    update_series(store, "held = int8multirange(int8range(%s, %s))", BAR_MS, BAR_MS + MINUTE_MS)

    told = story(cli)
    update_series(store, "held = '{}'")

    assert told["state"] == "not_as_said"
    assert "backfill audit --repair" in told["why"]


def test_a_series_whose_sources_nobody_has_named_has_a_story_too(cli: Cli, store: CandleStore) -> None:
    wanted_series(store, sources=())

    told = story(cli)

    assert (told["primary"], told["sources"], told["candle"]) == (None, [], None)


def test_what_a_removed_bar_was_is_still_told(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    give(store, window, "blofin", 99.0)
    give(store, window, "blofin", 100.0)
    store.connection.execute("DELETE FROM backfill.candles")

    said = cli("explain", "BTC-USDT", "1m", BAR)

    assert said.code == 3
    assert (
        "2. blofin: open 100, high 101, low 99, close 100, volume 2.5, quote volume 250; removed without a" in said.out
    )


def test_a_bar_whose_only_rows_broke_a_rule_is_refused(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    bar = Interval(BAR_MS, BAR_MS + MINUTE_MS)
    with store.page_transaction():
        store.store_page(
            window,
            store.source_id("blofin"),
            candles([]),
            bars=[],
            refused=[bar],
            quarantined=[QuarantinedRow(BAR_MS, "high_is_not_highest", BROKEN)],
        )

    assert story(cli)["state"] == "refused"
    assert "blofin: gave only rows that broke a rule" in cli("explain", "BTC-USDT", "1m", BAR).out

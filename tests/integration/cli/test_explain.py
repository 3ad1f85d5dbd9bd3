"""``backfill explain``: where a candle came from, who agreed with it, what it was before; or why there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import ANY

import pytest

from backfill.domain.answers import bar_intervals
from backfill.domain.intervals import Interval
from backfill.resources import query_file
from backfill.storage.candle_store import CandleStore, OpenWork, QuarantinedRow, SeriesWindow, utc
from backfill.storage.findings import Finding, FindingsLog
from backfill.storage.gap_fill_log import GapFillLog, RunIdentity
from integration.cli.conftest import Cli
from integration.helpers import (
    DAY_MS,
    MINUTE_MS,
    NOON_MS,
    candles,
    one,
    rows,
    store_bars,
    wanted_series,
)

BAR_MS = NOON_MS - 10 * MINUTE_MS
BAR = "2026-03-10T11:50:00Z"
PAGE = Interval(NOON_MS - 60 * MINUTE_MS, NOON_MS)
HISTORY_MS = 3650 * DAY_MS
LISTED = {
    "venue_symbol": "BTC-USDT-SWAP",
    "instrument_class": "perpetual",
    "price_scale": 0.001,
    "volume_scale": 10.0,
    "status": "proved",
    "reason": None,
    "proved_by": "blofin",
    "overlap_bars": 60,
    "median_close_ratio": 1.0001,
}
BROKEN = [str(BAR_MS), "100", "99", "98", "101"]


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, history_ms=HISTORY_MS, sources=("blofin", "okx", "bybit"))


def run_of(store: CandleStore, window: SeriesWindow) -> int:
    return GapFillLog(store.connection).start(
        RunIdentity("candles_fill_gaps", "scheduled__1", "validate"), window, OpenWork(0, 0, 0, [])
    )


def run_said(number: int) -> dict[str, Any]:
    return {"id": number, "dag_id": "candles_fill_gaps", "run_id": "scheduled__1", "task_id": "validate"}


def give(
    store: CandleStore,
    window: SeriesWindow,
    source: str,
    close: float,
    *,
    run: int | None = None,
    settled: bool = False,
    quarantined: Sequence[QuarantinedRow] = (),
) -> None:
    """One bar from a source, as a page of a run brings it."""
    frame = candles([BAR_MS], close=close)
    bars = bar_intervals(frame["open_ms"].to_numpy(), MINUTE_MS)
    store.prepare(window)
    with store.page_transaction():
        store.store_page(
            window, store.source_id(source), frame, bars=bars, settled=bars if settled else (), quarantined=quarantined,
            fill_run_id=run,
        )  # fmt: skip


def list_market(store: CandleStore, source: str = "okx", **told: Any) -> None:
    listing = {**LISTED, **told}
    store.connection.execute(
        f"INSERT INTO backfill.listings (instrument_id, source_id, {', '.join(listing)}) "
        f"SELECT id, %s, {', '.join(['%s'] * len(listing))} FROM backfill.instruments",
        (store.source_id(source), *listing.values()),
    )


def look(window: SeriesWindow, source_id: int | None, verdict: str = "agree", **detail: Any) -> Finding:
    """A page beside another source's."""
    counts = {"compared": 60, "agreed": 60, "only_stored": 0, "only_other": 0, **detail}
    return Finding(
        "cross_source", verdict, window.series_id, source_id, PAGE.start, PAGE.end, detail=counts, status="settled"
    )


def nobody_could(window: SeriesWindow, why: str) -> Finding:
    """A page that no other source could be asked about."""
    return Finding(
        "cross_source", "unverified", window.series_id, None, PAGE.start, PAGE.end, status="settled",
        detail={"why": [why], "nobody_has_it": False},
    )  # fmt: skip


def proof(window: SeriesWindow, home_id: int, **detail: Any) -> Finding:
    """A page beside the home's own 15m bars."""
    counts = {"timeframe": "15m", "equal": 4, "disagree": 0, "no_trade": 0, "lost": 0, **detail}
    return Finding(
        "next_timeframe", "agree", window.series_id, home_id, PAGE.start, PAGE.end, detail=counts, status="settled"
    )


def doubt(window: SeriesWindow, source_id: int, verdict: str = "disagree", **more: Any) -> Finding:
    """The bar's own close beside another source's."""
    return Finding(
        "cross_source", verdict, window.series_id, source_id, BAR_MS, BAR_MS + MINUTE_MS, field="close", stored=100.0,
        other=102.0, difference=-0.0196, **more,
    )  # fmt: skip


def story(cli: Cli, *options: str, at: str = BAR) -> Any:
    return cli("explain", "BTC-USDT", "1m", at, "--json", *options).document


def update_series(store: CandleStore, assignment: str, *params: Any) -> None:
    store.connection.execute(f"UPDATE backfill.series SET {assignment}", params)


def update_instrument(store: CandleStore, assignment: str, *params: Any) -> None:
    store.connection.execute(f"UPDATE backfill.instruments SET {assignment}", params)


# -- there is a candle ---------------------------------------------------------------------------------------


@pytest.fixture
def told_run(store: CandleStore, window: SeriesWindow) -> int:
    """A bar with a past: a stand-in, the home's own, corrected; compared, voted on, proved; a row in quarantine."""
    run = run_of(store, window)
    home, okx, bybit = window.source_ids
    list_market(store)
    give(store, window, "okx", 99.5)
    give(store, window, "blofin", 99.75, run=run)
    give(
        store, window, "blofin", 100.0, run=run, settled=True,
        quarantined=[QuarantinedRow(BAR_MS, "high_is_not_highest", BROKEN)],
    )  # fmt: skip
    FindingsLog(store.connection).record(
        [
            look(window, okx),
            doubt(window, bybit, "agree", status="settled", detail={"vote": "stored", "voter": "okx", "third": 100.01}),
            look(window, bybit, agreed=59),
            proof(window, home),
        ],
        run,
    )
    return run


def test_the_whole_story_of_a_bar_is_one_document(
    cli: Cli, store: CandleStore, window: SeriesWindow, told_run: int
) -> None:
    said = cli("explain", "BTC-USDT", "1m", BAR, "--json")

    assert said.code == 0
    at = "2026-03-10T11:50:00+00:00"
    values = {"open": 100.0, "low": 99.0, "volume": 2.5, "quote_volume": 250.0}
    run = run_said(told_run)
    page = {"id": ANY, "start_time": "2026-03-10T11:00:00+00:00", "end_time": "2026-03-10T12:00:00+00:00",
            "status": "settled", "times_seen": 1, "found_at": ANY, "last_seen_at": ANY, "settled_at": ANY, "run": run,
            "verdict": "agree", "of_this_candle": True}  # fmt: skip
    counts = {"compared": 60, "agreed": 60, "only_stored": 0, "only_other": 0}
    lists = {**LISTED, "checked_at": ANY}
    unknown = {"absent_until": None, "confirmations": None}
    assert said.document == {
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "open_time": at,
        "as_of": ANY,
        "state": "held",
        "why": "",
        "candle": {
            **values, "high": 101.0, "close": 100.0, "source": "blofin", "given_by": "home", "listing": None,
        },
        "home": "blofin",
        "confirmed": True,
        "compared": [
            {**page, "kind": "cross_source", "source": "okx", "detail": counts, "bar": "agree"},
            {**page, "kind": "cross_source", "source": "bybit", "detail": {**counts, "agreed": 59}, "bar": "upheld"},
        ],
        "proved": [
            {**page, "kind": "next_timeframe", "source": "blofin", "bar": "agree",
             "detail": {"timeframe": "15m", "equal": 4, "disagree": 0, "no_trade": 0, "lost": 0}},
        ],
        "findings": [
            {"id": ANY, "source": "bybit", "kind": "cross_source", "verdict": "agree", "status": "settled",
             "start_time": at, "end_time": "2026-03-10T11:51:00+00:00", "field": "close", "stored": 100.0,
             "other": 102.0, "difference": -0.0196, "detail": {"vote": "stored", "voter": "okx", "third": 100.01},
             "times_seen": 1, "found_at": ANY, "last_seen_at": ANY, "settled_at": ANY, "run": run},
        ],
        "former_selves": [
            {**values, "version": 1, "high": 101.0, "close": 99.5, "source": "okx", "reason": "native_restored",
             "note": None, "replaced_at": ANY, "run": run},
            {**values, "version": 2, "high": 101.0, "close": 99.75, "source": "blofin", "note": None,
             "reason": "provider_correction", "replaced_at": ANY, "run": run},
        ],
        "quarantine": [
            {"id": ANY, "source": "blofin", "rule": "high_is_not_highest", "payload": BROKEN, "status": "held",
             "times_seen": 1, "quarantined_at": ANY, "last_seen_at": ANY, "decided_at": None, "note": None},
        ],
        "sources": [
            {"source": "blofin", "rank": 1, "listings": [], **unknown},
            {"source": "okx", "rank": 2, "listings": [lists], **unknown},
            {"source": "bybit", "rank": 3, "listings": [], **unknown},
        ],
    }  # fmt: skip
    first, second = (one["replaced_at"] for one in said.document["former_selves"])
    assert first < second


def test_a_person_reads_source_agreement_and_former_selves(
    cli: Cli, store: CandleStore, window: SeriesWindow, told_run: int
) -> None:
    told = cli("explain", "BTC/USDT", "1m", str(BAR_MS)).out.splitlines()

    run = f"run {told_run} (candles_fill_gaps validate scheduled__1)"
    assert told[:3] == [
        "BTC-USDT 1m 2026-03-10 11:50 UTC: a candle of blofin",
        "  open 100, high 101, low 99, close 100, volume 2.5, quote volume 250",
        "  from its home, told after it had settled",
    ]
    said = [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "T", line) for line in told[3:]]
    assert said == [
        "who agreed:",
        f"  okx: agrees [T to T: 60 of 60 bars agreed; T, {run}]",
        f"  bybit: differs, but a third source voted for ours [T to T: 59 of 60 bars agreed; T, {run}]",
        f"  15m bars of blofin: agrees [T to T: 4 add up, 0 do not; T, {run}]",
        "what else checks have found:",
        "  cross_source, agree, settled; bybit; close: ours 100, theirs 102, -0.0196; okx voted: stored "
        f"[T, {run}]",
        "what it was before:",
        "  1. okx: open 100, high 101, low 99, close 99.5, volume 2.5, quote volume 250; "
        f"replaced on T by {run}: native_restored",
        "  2. blofin: open 100, high 101, low 99, close 99.75, volume 2.5, quote volume 250; "
        f"replaced on T by {run}: provider_correction",
        "in quarantine:",
        f"  1: high_is_not_highest, from blofin, held, seen 1 times, last T: {str(BROKEN).replace(chr(39), chr(34))}",
    ]  # fmt: skip


def test_a_stand_in_shows_how_its_source_lists_and_scales_the_instrument(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    list_market(store)
    give(store, window, "okx", 100.0)

    told = story(cli)
    shown = cli("explain", "BTC-USDT", "1m", BAR).out

    assert (told["candle"]["source"], told["candle"]["given_by"], told["confirmed"]) == ("okx", "stand_in", False)
    assert told["candle"]["listing"] == {**LISTED, "checked_at": ANY}
    assert "a stand-in: blofin, its home, has not given it" in shown
    assert (
        "its listing: BTC-USDT-SWAP, perpetual, price x 0.001, volume x 10; proved, 60 bars in common, with blofin, "
        "median close ratio 1.0001" in shown
    )
    assert "nobody has been asked" in shown
    assert "nothing else" in shown


@pytest.mark.parametrize(
    ("source", "given_by", "words"),
    [
        ("manual", "manual", "written by a person"),
        ("derived:15m", "derived", "made of finer bars of blofin"),
        ("gate", "other", "from a source that the series does not name"),
    ],
)
def test_what_no_source_of_the_series_gave_says_whose_it_is(
    cli: Cli, store: CandleStore, window: SeriesWindow, source: str, given_by: str, words: str
) -> None:
    give(store, window, source, 100.0)

    assert story(cli)["candle"]["given_by"] == given_by
    assert words in cli("explain", "BTC-USDT", "1m", BAR).out


# -- who agreed ----------------------------------------------------------------------------------------------


def verdicts(told: Any, kind: str = "compared") -> dict[str | None, str]:
    return {one["source"]: one["bar"] for one in told[kind]}


def test_a_look_at_a_page_says_of_the_bar_only_what_it_can(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    give(store, window, "okx", 100.0)
    home, okx, bybit = window.source_ids
    gate, bitget = store.source_id("gate"), store.source_id("bitget")
    log = FindingsLog(store.connection)
    log.record(
        [
            look(window, okx),
            look(window, bybit, "disagree", agreed=59),
            doubt(window, bybit),
            look(window, gate, only_stored=2),
            look(window, bitget),
            doubt(window, bitget),
            nobody_could(window, "okx: unreachable"),
            proof(window, home),
        ]
    )
    log.settle(["cross_source"], window.series_id, PAGE, source_id=bitget)

    told = story(cli)

    assert verdicts(told) == {
        "okx": "not_compared",  # it is its own candle
        "bybit": "disagree",
        "gate": "agree_unless_lacking",
        "bitget": "agree",
        None: "unverified",
    }
    assert verdicts(told, "proved") == {"blofin": "not_compared"}
    shown = cli("explain", "BTC-USDT", "1m", BAR).out
    assert "bybit: disagrees [" in shown
    assert "other sources: unverified [2026-03-10 11:00 to 2026-03-10 12:00: okx: unreachable; " in shown


def test_a_bar_that_does_not_add_up_and_one_that_may_not_have_been_added_up_are_told_apart(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    give(store, window, "blofin", 100.0)
    home = window.source_ids[0]
    quarter = NOON_MS - 15 * MINUTE_MS
    wrong = Finding(
        "timeframes", "disagree", window.series_id, home, quarter, NOON_MS, field="volume", stored=1.0, other=2.0,
        difference=-0.5, detail={"timeframe": "15m"},
    )  # fmt: skip
    log = FindingsLog(store.connection)

    log.record([proof(window, home, equal=3)])
    unsure = verdicts(story(cli), "proved")
    log.record([proof(window, home, equal=3, disagree=1), wrong])
    sure = story(cli)

    assert unsure == {"blofin": "agree_unless_lacking"}
    assert verdicts(sure, "proved") == {"blofin": "disagree"}
    assert [(one["kind"], one["field"], one["status"]) for one in sure["findings"]] == [
        ("timeframes", "volume", "open")
    ]


def test_a_look_at_a_former_self_is_not_taken_for_one_at_the_candle(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    give(store, window, "blofin", 99.0)
    FindingsLog(store.connection).record([look(window, store.source_id("okx"))])
    give(store, window, "blofin", 100.0)

    (compared,) = story(cli)["compared"]

    assert compared["of_this_candle"] is False
    assert "okx: agrees (before the bar became what it is)" in cli("explain", "BTC-USDT", "1m", BAR).out


def test_pages_and_findings_beside_the_bar_are_not_of_it(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    give(store, window, "blofin", 100.0)
    okx = store.source_id("okx")
    ends_here = Finding("cross_source", "agree", window.series_id, okx, PAGE.start, BAR_MS, status="settled")
    next_bar = Finding(
        "price_jump", "suspect", window.series_id, okx, BAR_MS + MINUTE_MS, BAR_MS + 2 * MINUTE_MS, field="close"
    )
    outage = {"source_id": okx, "start_ms": PAGE.start, "end_ms": PAGE.end}
    FindingsLog(store.connection).record(
        [
            ends_here,
            next_bar,
            Finding("source_outage", "outage", field="1h", **outage),
            Finding("source_outage", "outage", field="1m", **outage),
        ]
    )

    told = story(cli)

    assert told["compared"] == []
    assert [(one["kind"], one["field"]) for one in told["findings"]] == [("source_outage", "1m")]


# -- there is none -------------------------------------------------------------------------------------------


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
        ("blofin", 1),
        ("okx", None),
        ("bybit", None),
    ]
    assert [one["rule"] for one in said.document["quarantine"]] == ["high_is_not_highest"]
    assert "no candle, gap: somebody is still to be asked for it" in shown
    assert re.search(r"blofin: has answered that it has none, believed until \d{4}-", shown)
    assert "okx: its listing is refused: another coin" in shown
    assert "bybit: has not denied it" in shown


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
    update_series(store, "history_ms = %s, retention_ms = NULL, until = %s", HISTORY_MS, noon - day)
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

    assert (told["home"], told["sources"], told["candle"]) == (None, [], None)


# -- bad usage -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("DOGE-USDT", "1m", BAR), "unknown symbol 'DOGE-USDT': not in the universe (BTC-USDT)"),
        (("BTC-USDT", "1M", BAR), "unknown timeframe '1M'"),
        (("BTC-USDT", "4h", "2026-03-10T12:00Z"), "BTC-USDT is not kept as 4h bars, but as 1m"),
        (("BTC-USDT", "1m", "2026-03-10T11:50:10"), "the nearest opens at 2026-03-10T11:50Z\n"),
        (("BTC-USDT", "1m", "2026-03-10T11:50:45"), "11:51Z, the one that this lies in at 2026-03-10T11:50Z"),
        (("BTC-USDT", "1m", "2026-03-10T11:50:00.000001"), "the nearest opens at 2026-03-10T11:50Z\n"),
        (("BTC-USDT", "1w", "2026-03-10"), "the nearest opens at 2026-03-09T00:00Z\n"),
        (("BTC-USDT", "1m", "noon"), "'noon' is not a time"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_bad_usage_and_says_what_to_write(
    cli: Cli, store: CandleStore, window: SeriesWindow, arguments: tuple[str, ...], words: str
) -> None:
    said = cli("explain", *arguments)

    assert (said.code, said.out) == (2, "")
    assert words in said.err


# -- the view ------------------------------------------------------------------------------------------------

HISTORY = (
    "SELECT version, close, source, reason, is_current FROM backfill.candle_history "
    "WHERE symbol = 'BTC-USDT' AND timeframe = '1m' AND open_time = %s ORDER BY version"
)


def history(store: CandleStore) -> list[tuple[Any, ...]]:
    return rows(store.connection, HISTORY, (utc(BAR_MS),))


def test_the_view_holds_every_self_of_revised_bars_and_no_bar_that_never_was(
    store: CandleStore, window: SeriesWindow
) -> None:
    store_bars(store, window, candles([BAR_MS - MINUTE_MS]))
    give(store, window, "okx", 99.5)
    assert history(store) == []
    give(store, window, "blofin", 99.75)
    give(store, window, "blofin", 100.0)

    assert history(store) == [
        (1, 99.5, "okx", "native_restored", False),
        (2, 99.75, "blofin", "provider_correction", False),
        (3, 100.0, "blofin", None, True),
    ]
    assert one(store.connection, "SELECT count(*) FROM backfill.candle_history") == 3


def test_a_self_that_was_changed_or_removed_without_a_revision_is_one_of_them(
    store: CandleStore, window: SeriesWindow
) -> None:
    give(store, window, "blofin", 99.0)
    give(store, window, "blofin", 100.0)
    store.connection.execute("UPDATE backfill.candles SET close = 100.5")
    silently_changed = history(store)
    give(store, window, "blofin", 100.75)
    revised_again = history(store)
    store.connection.execute("DELETE FROM backfill.candles")

    first, second = (1, 99.0, "blofin", "provider_correction", False), (2, 100.0, "blofin", "unrecorded", False)
    third = (3, 100.5, "blofin", "provider_correction", False)
    assert silently_changed == [first, second, (3, 100.5, "blofin", None, True)]
    assert revised_again == [first, second, third, (4, 100.75, "blofin", None, True)]
    assert history(store) == [first, second, third, (4, 100.75, "blofin", "removed", False)]


def test_what_a_removed_bar_was_is_still_told(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    give(store, window, "blofin", 99.0)
    give(store, window, "blofin", 100.0)
    store.connection.execute("DELETE FROM backfill.candles")

    said = cli("explain", "BTC-USDT", "1m", BAR)

    assert said.code == 3
    assert (
        "2. blofin: open 100, high 101, low 99, close 100, volume 2.5, quote volume 250; removed without a" in said.out
    )


# -- what it costs -------------------------------------------------------------------------------------------


def scanned(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The table and the index conditions of each scan of a plan."""
    if "Relation Name" in plan or "Index Name" in plan:
        yield plan.get("Relation Name", ""), plan.get("Index Cond", "")
    for part in plan.get("Plans", ()):
        yield from scanned(part)


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("candle", {"candles_y2026m03"}),
        ("history", {"candles_y2026m03", "revisions"}),
        ("findings", {"findings"}),
        ("quarantine", {"quarantine"}),
    ],
)
def test_a_bar_is_found_by_series_and_time_in_an_index(
    store: CandleStore, window: SeriesWindow, name: str, tables: set[str]
) -> None:
    store.prepare(window)
    store.connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")  # the tables are empty
    params = {"series_id": window.series_id, "source_ids": window.source_ids, "symbol": "BTC-USDT", "timeframe": "1m",
              "open_time": utc(BAR_MS)}  # fmt: skip
    text = query_file(f"explain_{name}").read_text()

    plan = one(store.connection, f"EXPLAIN (FORMAT json) {text}", params)[0]["Plan"]

    of_bars = [(table, found_by) for table, found_by in scanned(plan) if table in tables]
    assert {table for table, _ in of_bars} == tables
    for _, found_by in of_bars:
        assert "series_id" in found_by
        assert "open_time" in found_by or "start_time" in found_by

"""``backfill explain`` of a candle: where it came from, who agreed with it, what it was before."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from unittest.mock import ANY

import pytest

from backfill.storage.candle_store import CandleStore, QuarantinedRow
from backfill.storage.findings import Finding, FindingsLog
from backfill.storage.series import SeriesWindow
from integration.cli.conftest import Cli
from integration.cli.explained_bar import (
    BAR,
    BAR_MS,
    BROKEN,
    LISTED,
    PAGE,
    doubt,
    give,
    kept_for_years,
    list_market,
    look,
    nobody_could,
    proof,
    run_of,
    run_said,
    story,
    verdicts,
)
from integration.helpers import MINUTE_MS, NOON_MS


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return kept_for_years(store)


# -- there is a candle ---------------------------------------------------------------------------------------


@pytest.fixture
def told_run(store: CandleStore, window: SeriesWindow) -> int:
    """A bar with a past: a stand-in, the primary's own, corrected; compared, voted on, proved; a row in quarantine."""
    run = run_of(store, window)
    primary, okx, bybit = window.source_ids
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
            proof(window, primary),
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
    unknown = {"absent_until": None, "confirmations": None, "grade": None}
    assert said.document == {
        "command": "explain",
        "version": ANY,
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "open_time": at,
        "as_of": ANY,
        "state": "held",
        "why": "",
        "candle": {
            **values, "high": 101.0, "close": 100.0, "source": "blofin", "given_by": "primary", "listing": None,
        },
        "primary": "blofin",
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
            {"id": ANY, "source": "blofin", "rule": "high_is_not_highest", "payload": BROKEN, "status": "pending",
             "times_seen": 1, "quarantined_at": ANY, "last_seen_at": ANY, "decided_at": None, "note": None},
        ],
        "sources": [
            {"source": "blofin", "rank": 1, "listings": [], **unknown},
            {"source": "okx", "rank": 2, "listings": [lists], **unknown},
            {"source": "bybit", "rank": 3, "listings": [], **unknown},
        ],
        "carried": [],
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
        "  from its primary source, sent again after it had settled",
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
        f"  1: high_is_not_highest, from blofin, pending, seen 1 times, last T: {json.dumps(BROKEN)}",
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
    assert "a stand-in for the primary source's: blofin: has not been found to lack it" in shown
    assert (
        "its listing: BTC-USDT-SWAP, perpetual, price x 0.001, volume x 10; proved, 60 bars in common, with blofin, "
        "median close ratio 1.0001" in shown
    )
    assert "no source has been asked" in shown
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


def test_a_look_at_a_page_says_of_the_bar_only_what_it_can(cli: Cli, store: CandleStore, window: SeriesWindow) -> None:
    give(store, window, "okx", 100.0)
    primary, okx, bybit = window.source_ids
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
            proof(window, primary),
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


def differing_sum(window: SeriesWindow) -> Finding:
    """The quarter's volume beside the primary source's own 15m bar."""
    return Finding(
        "timeframes", "disagree", window.series_id, window.source_ids[0], NOON_MS - 15 * MINUTE_MS, NOON_MS,
        field="volume", stored=1.0, other=2.0, difference=-0.5, detail={"timeframe": "15m"},
    )  # fmt: skip


def test_a_bar_that_does_not_add_up_and_one_that_may_not_have_been_added_up_are_told_apart(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    give(store, window, "blofin", 100.0)
    primary = window.source_ids[0]
    log = FindingsLog(store.connection)

    log.record([proof(window, primary, equal=3)])
    unsure = verdicts(story(cli), "proved")
    log.record([proof(window, primary, equal=0)])
    untold = verdicts(story(cli), "proved")
    log.record([proof(window, primary, equal=3, disagree=1), differing_sum(window)])
    sure = story(cli)

    assert unsure == {"blofin": "agree_unless_lacking"}
    assert untold == {"blofin": "not_compared"}
    assert verdicts(sure, "proved") == {"blofin": "disagree"}
    assert [(one["kind"], one["field"], one["status"]) for one in sure["findings"]] == [
        ("timeframes", "volume", "open")
    ]


def test_what_another_timeframe_or_source_says_is_no_word_of_this_one(
    cli: Cli, store: CandleStore, window: SeriesWindow
) -> None:
    give(store, window, "blofin", 100.0)
    primary, okx, _ = window.source_ids
    of_1h = replace(differing_sum(window), start_ms=PAGE.start, detail={"timeframe": "1h"})
    shifted = Finding("hour_shift", "disagree", window.series_id, okx, PAGE.start, PAGE.end)
    FindingsLog(store.connection).record([proof(window, primary), look(window, okx, "disagree"), of_1h, shifted])

    told = story(cli)

    assert verdicts(told, "proved") == {"blofin": "agree"}
    assert verdicts(told) == {"okx": "disagree"}
    assert sorted(one["kind"] for one in told["findings"]) == ["hour_shift", "timeframes"]


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
        (("BTC-USDT", "1m", "9999-12-31T23:59:59"), "the nearest opens at 9999-12-31T23:59Z\n"),
        (("BTC-USDT", "1m", "noon"), "'noon' is not a time"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_bad_usage_and_says_what_to_write(
    cli: Cli, store: CandleStore, window: SeriesWindow, arguments: tuple[str, ...], words: str
) -> None:
    said = cli("explain", *arguments)

    assert (said.code, said.out) == (2, "")
    assert words in said.err

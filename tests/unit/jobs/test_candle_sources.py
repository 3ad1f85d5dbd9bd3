"""Blofin as the jobs see it."""

from __future__ import annotations

import json
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from backfill.domain.candle_columns import CANDLE_COLUMNS
from backfill.domain.candle_rules import BrokenRow
from backfill.domain.timeframes import DAY_MS, MINUTE_MS, TIMEFRAMES, timeframe
from backfill.exchanges.blofin_client import BlofinClient
from backfill.sources.blofin_source import BlofinSource
from backfill.sources.candle_source import CandlePage
from unit.exchanges.canned_answers import Answer, CannedAnswers, session_with

RECORDED = Path(__file__).parents[2] / "recorded"
NEWEST = json.loads((RECORDED / "blofin_page_newest.json").read_text())["data"]
OLDEST = json.loads((RECORDED / "blofin_page_oldest.json").read_text())["data"]
RUNNING_MS = 1_763_601_420_000
CURSOR_MS = RUNNING_MS + MINUTE_MS


def source_of(rows: object, server_ms: int | None = None, settle_ms: int = 0) -> tuple[BlofinSource, CannedAnswers]:
    headers = {} if server_ms is None else {"Date": formatdate(server_ms / 1000, usegmt=True)}
    adapter = CannedAnswers(Answer(json.dumps({"code": "0", "data": rows}).encode(), headers=headers))
    return BlofinSource(BlofinClient(session_with(adapter)), rows_per_page=300, settle_ms=settle_ms), adapter


def page_of(rows: object, server_ms: int | None = None, settle_ms: int = 0) -> CandlePage:
    return source_of(rows, server_ms, settle_ms)[0].ask("BTC-USDT", timeframe("1m"), CURSOR_MS)


def opens(page: CandlePage) -> list[int]:
    return page.sound["open_ms"].tolist()


def test_a_page_is_its_closed_bars_oldest_first_and_the_running_one_named():
    page = page_of(NEWEST)
    assert opens(page) == [RUNNING_MS - k * MINUTE_MS for k in (5, 4, 3, 2, 1)]
    assert list(page.sound.index) == [0, 1, 2, 3, 4]
    assert page.sound["open_ms"].dtype == "int64"
    assert page.running_ms == [RUNNING_MS]
    assert (page.oldest_ms, page.newest_ms) == (RUNNING_MS - 5 * MINUTE_MS, RUNNING_MS)
    assert (page.rows, page.broken, page.after_ms) == (NEWEST, [], CURSOR_MS)
    assert page.sound.loc[4, CANDLE_COLUMNS].tolist() == [float(NEWEST[1][n]) for n in (0, 1, 2, 3, 4, 6, 7)]


def test_holes_and_a_short_page_are_given_as_they_are():
    page = page_of(OLDEST)
    assert opens(page) == [1_733_601_060_000, 1_733_601_120_000, 1_733_601_240_000]
    assert page.running_ms == []


@pytest.mark.parametrize(
    ("server_ms", "settle_ms", "closed"),
    [
        (RUNNING_MS, 0, 5),  # the newest confirmed bar ended this very second
        (RUNNING_MS - 1000, 0, 4),  # confirmed, and yet not over by Blofin's own clock
        (RUNNING_MS + 4000, 5000, 4),  # over, but not settled
        (RUNNING_MS + 5000, 5000, 5),
        (RUNNING_MS + DAY_MS, 5000, 5),  # long over, and yet not confirmed
        (None, 5000, 5),  # no clock: its word must do
    ],
)
def test_a_bar_is_closed_when_blofin_says_so_and_its_clock_agrees(server_ms, settle_ms, closed):
    page = page_of(NEWEST, server_ms, settle_ms)
    assert len(opens(page)) == closed
    assert sorted([*opens(page), *page.running_ms]) == [RUNNING_MS - k * MINUTE_MS for k in (5, 4, 3, 2, 1, 0)]
    assert page.server_ms == server_ms


def test_a_broken_row_is_told_by_its_place_and_not_believed_about_the_reach_of_the_page():
    absurd_high = [*NEWEST[5][:2], "1", *NEWEST[5][3:]]
    off_grid = [str(RUNNING_MS - 400 * DAY_MS + 1), *NEWEST[5][1:]]
    page = page_of([*NEWEST[:5], absurd_high, off_grid, "row"])
    assert page.broken == [
        BrokenRow(7, None, "field_is_malformed"),
        BrokenRow(6, RUNNING_MS - 400 * DAY_MS + 1, "open_time_is_off_the_grid"),
        BrokenRow(5, RUNNING_MS - 5 * MINUTE_MS, "high_is_not_highest"),
    ]
    assert [page.rows[row.place] for row in page.broken] == ["row", off_grid, absurd_high]
    assert page.oldest_ms == RUNNING_MS - 4 * MINUTE_MS


def moved(row: list[str], minutes: int) -> list[str]:
    return [str(int(row[0]) + minutes * MINUTE_MS), *row[1:]]


def test_rows_at_the_cursor_and_past_it_are_broken_and_speak_for_nothing():
    page = page_of([moved(NEWEST[1], 2), *NEWEST[1:]])
    assert page.broken == [BrokenRow(0, CURSOR_MS, "open_time_was_not_asked_for")]
    assert opens(page) == [RUNNING_MS - k * MINUTE_MS for k in (5, 4, 3, 2, 1)]
    assert page.newest_ms == RUNNING_MS - MINUTE_MS


def test_a_page_of_nothing_but_newer_rows_leads_nowhere_but_is_neither_the_end_nor_unbelievable():
    page = page_of([moved(row, 10) for row in NEWEST])
    assert {row.rule for row in page.broken} == {"open_time_was_not_asked_for"}
    assert (len(page.broken), len(page.sound)) == (len(NEWEST), 0)
    assert page.oldest_ms == RUNNING_MS + 5 * MINUTE_MS >= CURSOR_MS
    assert page.covers == (CURSOR_MS, CURSOR_MS)


def test_a_bar_that_has_not_opened_by_blofins_own_clock_is_broken_though_it_was_asked_for():
    page = page_of([moved(row, 0) for row in NEWEST], server_ms=RUNNING_MS - 2 * MINUTE_MS)
    assert page.broken == [BrokenRow(0, RUNNING_MS, "open_time_is_in_the_future")]
    assert page.running_ms == [RUNNING_MS - 2 * MINUTE_MS, RUNNING_MS - MINUTE_MS]


def test_rows_of_which_none_can_be_believed_are_not_the_end_of_history():
    page = page_of([["not", "a", "candle"]])
    assert page.rows
    assert (page.oldest_ms, page.newest_ms, len(page.sound)) == (None, None, 0)


def test_no_rows_are_the_end_of_history():
    page = page_of([])
    assert not page.rows
    assert (page.oldest_ms, page.newest_ms, len(page.sound), page.broken) == (None, None, 0, [])


@pytest.mark.parametrize("name", TIMEFRAMES)
def test_blofin_is_asked_in_its_own_words_for_a_page_of_the_size_we_want(name):
    source, adapter = source_of([])
    source.ask("BTC-USDT", timeframe(name), CURSOR_MS)
    bar = name if name.endswith("m") else name.upper()
    expected = {"instId": ["BTC-USDT"], "bar": [bar], "after": [str(CURSOR_MS)], "limit": ["300"]}
    assert parse_qs(urlsplit(adapter.requests[0].url).query) == expected
    assert source.requests_made == 1

"""Whatever Blofin answers: a typed error, or a page on which each row is judged rightly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.domain.timeframes import TIMEFRAMES
from backfill.exchanges.blofin_client import BlofinClient
from backfill.sources.blofin_source import BlofinSource
from backfill.sources.candle_source import CandlePage
from unit.exchanges.canned_answers import session_with
from unit.frames import hostile_payloads as hostile
from unit.frames import judged_pages as judge

pytestmark = pytest.mark.long

LAYOUT = judge.LAYOUTS["blofin"]
EXCHANGE = hostile.Exchange()
SOURCE = BlofinSource(BlofinClient(session_with(EXCHANGE), sleep=lambda _: None))


def ask() -> CandlePage:
    return SOURCE.ask("BTC-USDT", TIMEFRAMES["1m"], judge.CURSOR_MS)


def envelope(data: Any, code: Any = "0", msg: Any = "success") -> dict[str, Any]:
    return {"code": code, "msg": msg, "data": data}


def test_whatever_stands_in_a_cell_spoils_its_row_and_no_other():
    EXCHANGE.says(hostile.json_bytes(envelope(hostile.every_cell_in_every_place(LAYOUT))))
    judge.assert_judged_rightly(ask(), LAYOUT)


@hostile.fuzz(250)
@given(hostile.rows(LAYOUT), hostile.clocks_ms)
def test_each_row_is_stored_running_broken_or_said_twice_and_none_spoils_the_others(rows, now_ms):
    EXCHANGE.says(hostile.json_bytes(envelope(rows)), now_ms=now_ms)
    page = ask()
    assert page.rows == hostile.read_back(rows)
    judge.assert_judged_rightly(page, LAYOUT, now_ms=now_ms)
    assert page.is_the_end == (not rows)


@hostile.fuzz(100)
@given(
    hostile.json_values | hostile.rows(LAYOUT),
    st.sampled_from(["0", 0, "500", "429", "152014", -1]) | hostile.cells,
    hostile.json_values,
)
def test_whatever_the_envelope_says_it_is_an_error_of_ours_or_a_page(data, code, msg):
    EXCHANGE.says(hostile.json_bytes(envelope(data, code, msg)))
    with hostile.only_errors_of_ours() as outcome:
        judge.assert_judged_rightly(ask(), LAYOUT)
    code_read = hostile.read_back(code)
    is_answer = type(code_read) in (str, int) and str(code_read) == "0" and isinstance(data, list)
    assert (outcome.error is None) == is_answer


@hostile.fuzz(250)
@given(hostile.bodies(hostile.rows(LAYOUT).map(envelope).map(hostile.json_bytes)), hostile.statuses, hostile.headers)
def test_whatever_bytes_come_it_is_an_error_of_ours_or_a_page(body, status, headers):
    EXCHANGE.says(body, status=status, headers=headers)
    with hostile.only_errors_of_ours():
        page = ask()
        now_ms = float("inf") if page.server_ms is None else page.server_ms
        judge.assert_judged_rightly(page, LAYOUT, now_ms=now_ms)

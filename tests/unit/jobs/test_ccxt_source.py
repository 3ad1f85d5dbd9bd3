"""A venue behind ccxt as the jobs see it."""

from __future__ import annotations

from typing import Any

import pytest

from backfill.domain.candle_rules import BrokenRow
from backfill.domain.symbols import Listing
from backfill.domain.timeframes import MINUTE_MS, TIMEFRAMES
from backfill.sources.candle_source import CandlePage
from backfill.sources.ccxt_source import CcxtSource
from unit.exchanges.canned_answers import Answer
from unit.exchanges.venue_markets import SINCE_MS, Asked, json_answer, okx_row

CURSOR_MS = SINCE_MS + 10 * MINUTE_MS
DATE = "Tue, 14 Nov 2023 22:28:30 GMT"  # the fifth minute from the cursor is running


def page_of(venue: str, answer: Answer) -> CandlePage:
    asked = Asked(venue, answer)
    listing = Listing(
        asked.market.venue_symbol,
        "perpetual" if asked.market.is_swap else "spot_proxy",
        price_scale=1.0,
        volume_scale=1.0,
    )
    return CcxtSource(asked.client, listing, TIMEFRAMES["1m"]).ask("BTC-USDT", TIMEFRAMES["1m"], CURSOR_MS)


def opens_ms(*minutes: int) -> list[int]:
    """Minutes from the cursor on."""
    return [CURSOR_MS + minute * MINUTE_MS for minute in minutes]


def okx(opens: list[int]) -> Answer:
    return json_answer({"code": "0", "data": [okx_row(str(ms)) for ms in opens]}, Date=DATE)


def bitget(opens: list[int]) -> Answer:
    return json_answer(
        {"code": "00000", "data": [[str(ms), "1", "3", "0.5", "2", "10", "15"] for ms in opens]}, Date=DATE
    )


def kraken(opens: list[int]) -> Answer:
    rows: list[list[Any]] = [[ms // 1000, "1", "3", "0.5", "2", "1.5", "10", 7] for ms in opens]
    return json_answer({"error": [], "result": {"XBTUSDT": rows, "last": 0}}, Date=DATE)


def test_a_row_outside_of_the_page_of_a_venue_that_was_told_both_ends_is_broken():
    page = page_of("okx", okx(opens_ms(0, -1, -300, -400)))
    assert page.sound["open_ms"].tolist() == opens_ms(-300, -1)
    assert {(row.open_ms, row.rule) for row in page.broken} == {
        (CURSOR_MS, "open_time_was_not_asked_for"),
        (CURSOR_MS - 400 * MINUTE_MS, "open_time_was_not_asked_for"),
    }
    assert not page.is_clean


@pytest.mark.parametrize(
    ("venue", "answer", "unasked"),
    [
        ("bitget", bitget(opens_ms(-1, 0, 1)), opens_ms(1)),  # the end that it is told may be part of the page
        ("kraken", kraken(opens_ms(-1, 0, 1)), []),  # it gives its newest bars, whatever is asked
    ],
)
def test_what_is_normal_for_a_venue_is_no_offence(venue, answer, unasked):
    page = page_of(venue, answer)
    assert [row.open_ms for row in page.broken] == unasked
    assert page.sound["open_ms"].tolist() == [ms for ms in opens_ms(-1, 0, 1) if ms not in unasked]


def test_a_bar_that_has_not_opened_by_the_venues_clock_is_broken():
    page = page_of("kraken", kraken(opens_ms(-1, 3, 4, 20)))
    assert page.broken == [BrokenRow(3, CURSOR_MS + 20 * MINUTE_MS, "open_time_is_in_the_future")]
    assert page.running_ms == opens_ms(4)

"""How many requests one planned page may cost, whatever the source answers."""

from __future__ import annotations

import numpy as np
import pytest

from backfill.domain.intervals import Interval
from backfill.domain.page_plan import PlannedPage
from backfill.domain.timeframes import MINUTE_MS, timeframe
from backfill.exchanges.blofin_client import BlofinAnswer
from backfill.sources.blofin_source import BlofinSource
from backfill.sources.planned_answer import MAX_EXTRA, PageWalk, PlannedAnswer, may_be_longer_bars

MINUTE = timeframe("1m")
ROWS = 1440
END_MS = 1_763_596_800_000
SPAN = Interval(END_MS - ROWS * MINUTE_MS, END_MS)


class ShortPages:
    """A Blofin that gives at most ``most_rows`` rows, newest first."""

    def __init__(self, most_rows: int) -> None:
        self.most_rows = most_rows
        self.requests_made = 0

    def candles(self, _inst_id: str, _bar: str, after_ms: int, _limit: int, _kind: str) -> BlofinAnswer:
        self.requests_made += 1
        opens_ms = [after_ms - n * MINUTE_MS for n in range(1, self.most_rows + 1)]
        rows = [[str(ms), "1", "2", "0.5", "1.5", "10", "10", "15", "1"] for ms in opens_ms]
        return BlofinAnswer(rows, END_MS + 3_600_000, 1.0)


def answer_of(client: ShortPages) -> PlannedAnswer:
    source = BlofinSource(client)  # type: ignore[arg-type]
    walk = PageWalk(
        source.name,
        lambda after_ms: source.ask("BTC-USDT", MINUTE, after_ms),
        MINUTE,
        ROWS,
        SPAN,
        [SPAN],
        [],
        None,
        counts_forward=False,
    )
    return walk.answer(PlannedPage(SPAN.end, SPAN.start))


def test_a_page_of_five_rows_where_1440_are_due_costs_one_more_request_and_denies_no_bar() -> None:
    client = ShortPages(5)
    answer = answer_of(client)
    assert client.requests_made == MAX_EXTRA == 2
    assert answer.given == [Interval(END_MS - 10 * MINUTE_MS, END_MS)]
    assert {page.covers for page in answer.pages} == {
        Interval(END_MS - (n + 5) * MINUTE_MS, END_MS - n * MINUTE_MS) for n in (0, 5)
    }


@pytest.mark.parametrize(("most_rows", "requests"), [(100, 15), (720, 2), (1440, 1)])
def test_a_source_whose_pages_are_merely_shorter_is_walked_to_the_end(most_rows: int, requests: int) -> None:
    client = ShortPages(most_rows)
    assert answer_of(client).given == [SPAN]
    assert client.requests_made == requests


@pytest.mark.parametrize(("apart", "is_asked_again"), [(1, False), (2, False), (3, True), (5, True), (60, True)])
def test_a_page_whose_rows_are_all_of_a_longer_grid_is_asked_for_again(apart: int, is_asked_again: bool) -> None:
    opens_ms = END_MS + MINUTE_MS * apart * np.arange(40)
    assert may_be_longer_bars(opens_ms, MINUTE_MS) is is_asked_again
    assert not may_be_longer_bars(opens_ms[:11], MINUTE_MS)
    assert not may_be_longer_bars(np.sort(np.append(opens_ms, opens_ms[7] + MINUTE_MS)), MINUTE_MS)


@pytest.mark.parametrize("most_rows", range(1, 120, 7))
def test_no_page_costs_more_than_twenty_requests(most_rows: int) -> None:
    client = ShortPages(most_rows)
    answer_of(client)
    assert client.requests_made <= 20

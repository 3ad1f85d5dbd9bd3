"""A source that has had enough: one process is told, all of them stop, and nobody knocks before the pause is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from backfill.exchanges.blofin_client import VENUE
from backfill.paper.protocol import Answer
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.rate_budget import RateBudget
from backfill.storage.series import SeriesWindow
from integration.exchange import PaperBlofin, Question, assert_equals_market, fill, run_log, saying
from integration.helpers import DAY_MS, NOON_MS, one, rows, wanted_series

REFUSALS = {
    "429": Answer(429, b'{"code":"429","msg":"Too Many Requests"}'),
    "403": Answer(403, b"<html><body><h1>403 Forbidden</h1></body></html>", media_type="text/html"),
    "code 429": Answer(200, b'{"code":"429","msg":"Too Many Requests"}'),
}


@pytest.fixture
def window(store: CandleStore) -> SeriesWindow:
    return wanted_series(store, history_ms=3 * DAY_MS)


@pytest.fixture
def budgets(store: CandleStore, database_uri: str) -> Iterator[list[RateBudget]]:
    """Two processes' views of one budget, which do not sleep while they wait for their turns."""
    with ExitStack() as opened:
        yield [
            RateBudget(
                opened.enter_context(connect(database_uri)),
                "blofin",
                store.source_id("blofin"),
                VENUE.limits_per_period_s,
                sleep=lambda _: None,
            )
            for _ in range(2)
        ]


def refuse(exchange: PaperBlofin, how: str) -> None:
    """From the second page on, by HTTP status, by the firewall, or by a code in a friendly answer."""

    def misbehave(question: Question, true: Answer) -> Answer | None:
        return REFUSALS[how] if question.after_ms < NOON_MS else None

    exchange.manners.misbehave = misbehave


@pytest.mark.parametrize(
    ("how", "error"), [("429", "RateLimited"), ("code 429", "RateLimited"), ("403", "AddressBanned")]
)
def test_a_ban_pauses_the_source_for_every_process(
    store: CandleStore,
    window: SeriesWindow,
    exchange: PaperBlofin,
    budgets: list[RateBudget],
    how: str,
    error: str,
) -> None:
    other = wanted_series(store, "ETH-USDT", history_ms=3 * DAY_MS)
    refuse(exchange, how)

    report = fill(store, exchange, window, budget=budgets[0], pages_in_flight=1)

    assert (report.status, type(report.cause).__name__) == ("partial", error)
    assert (report.rows_inserted, report.missing_after, report.requests) == (1440, 2880, 2)
    left = "SELECT extract(epoch FROM paused_until - clock_timestamp()) FROM backfill.rate_budgets"
    assert 290 < one(store.connection, left) <= 300
    exchange.behave()
    for budget in budgets:
        refused = fill(store, exchange, other, budget=budget)
        assert (refused.status, type(refused.cause).__name__, refused.requests) == ("failed", "RateLimited", 0)
    assert exchange.requests.total == 0  # nobody has touched the server
    assert 280 < one(store.connection, left) <= 300  # and nobody has made the pause longer
    assert [told for (told,) in run_log(store, "error")][1].count("paused for all processes") == 1

    store.connection.execute("UPDATE backfill.rate_budgets SET paused_until = clock_timestamp()")
    for series in (window, other):
        assert fill(store, exchange, series, budget=budgets[1]).status == "complete"
        assert_equals_market(store, series, exchange.market)


def test_no_page_is_asked_for_after_the_ban(
    store: CandleStore, exchange: PaperBlofin, budgets: list[RateBudget]
) -> None:
    window = wanted_series(store, history_ms=30 * DAY_MS)
    exchange.manners.misbehave = lambda question, true: REFUSALS["429"]

    report = fill(store, exchange, window, budget=budgets[0], pages_in_flight=4)

    assert report.status == "failed"
    assert len(exchange.asked) <= 4  # those that were on their way


def test_the_houses_own_limit_is_met_by_a_client_without_a_budget_and_told_as_what_it_is(
    store: CandleStore, exchange: PaperBlofin, window: SeriesWindow
) -> None:
    exchange.suspend(429, seconds=300)

    report = fill(store, exchange, window, pages_in_flight=1)

    assert (report.status, type(report.cause).__name__, exchange.requests.refused) == ("failed", "RateLimited", 1)
    assert rows(store.connection, "SELECT outcome, requests FROM backfill.source_attempts") == [("RateLimited", 1)]


def test_every_request_takes_its_turn_in_the_budget_the_repeated_ones_too(
    store: CandleStore, exchange: PaperBlofin, window: SeriesWindow, budgets: list[RateBudget]
) -> None:
    exchange.manners.misbehave = lambda question, true: Answer(500, b"") if question.number % 2 else None

    report = fill(store, exchange, window, budget=budgets[0], pages_in_flight=1)

    assert (report.status, report.requests) == ("complete", 6)
    assert one(store.connection, "SELECT cardinality(recent_ms) FROM backfill.rate_budgets") == 6


def test_an_answer_of_nothing_costs_a_turn_and_no_pause(
    store: CandleStore, exchange: PaperBlofin, window: SeriesWindow, budgets: list[RateBudget]
) -> None:
    exchange.manners.misbehave = lambda question, true: saying([])

    fill(store, exchange, window, budget=budgets[0])

    assert one(store.connection, "SELECT paused_until = '-infinity' FROM backfill.rate_budgets")

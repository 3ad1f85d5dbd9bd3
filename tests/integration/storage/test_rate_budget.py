"""One budget for all threads, connections and processes of an address."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise

import pytest

from backfill.errors import AddressBanned, RateLimited
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.rate_budget import PERIOD_MARGIN_MS, RateBudget, default_margin_ms
from integration.helpers import one, rows
from waiting import PATIENCE_S

Limits = tuple[tuple[int, int], ...]
NewBudget = Callable[..., RateBudget]


@pytest.fixture
def new_budget(store: CandleStore, database_uri: str) -> Iterator[NewBudget]:
    """Budgets of one source, each over a connection of its own, whose sleeps take no time and are noted."""
    with ExitStack() as opened:

        def new(limits: Limits, *, slept: list[float] | None = None, spacing_ms: int = 0) -> RateBudget:
            note = (lambda _: None) if slept is None else slept.append
            connection = opened.enter_context(connect(database_uri))
            return RateBudget(
                connection, "blofin", store.source_id("blofin"), limits, spacing_ms=spacing_ms, sleep=note
            )

        yield new


def note_reservations(store: CandleStore) -> Callable[[], list[int]]:
    """From now on every reserved time is written down; the function gives them, in order, in ms."""
    store.connection.execute(
        """
        CREATE TABLE public.reserved (at_ms bigint);
        CREATE FUNCTION note_reserved() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO public.reserved VALUES (NEW.recent_ms[cardinality(NEW.recent_ms)]); RETURN NULL; END';
        CREATE TRIGGER note_reserved AFTER UPDATE OF recent_ms ON backfill.rate_budgets
        FOR EACH ROW EXECUTE FUNCTION note_reserved()
        """
    )
    return lambda: [at_ms for (at_ms,) in rows(store.connection, "SELECT at_ms FROM public.reserved ORDER BY 1")]


def most_in_any(at_ms: Sequence[int], period_ms: int) -> int:
    """The largest number of times within any half-open span of that length."""
    return max(sum(first <= other < first + period_ms for other in at_ms) for first in at_ms)


@pytest.mark.parametrize("limits", [((10, 1),), ((10, 1), (25, 10)), ((7, 2), (100, 3600))])
def test_no_window_ever_holds_more_than_its_limit_however_many_ask(
    store: CandleStore, new_budget: NewBudget, limits: Limits
) -> None:
    reserved = note_reservations(store)
    budgets = [new_budget(limits) for _ in range(4)]

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(budgets[n % 4].take_turn) for n in range(120)]:
            done.result(timeout=PATIENCE_S)

    at_ms = reserved()
    assert len(at_ms) == 120
    for limit, period_s in limits:
        assert most_in_any(at_ms, period_s * 1000 + default_margin_ms(period_s * 1000)) <= limit


def test_a_budget_is_used_to_the_full(store: CandleStore, new_budget: NewBudget) -> None:
    reserved = note_reservations(store)
    slept: list[float] = []
    budget = new_budget(((100, 60),), slept=slept)

    for _ in range(99):
        budget.take_turn()
    assert slept == []  # one of a hundred is left for a person at the same address
    budget.take_turn()

    assert len(slept) == 1
    at_ms = reserved()
    assert at_ms[99] - at_ms[0] == 60_000 + PERIOD_MARGIN_MS


def test_requests_are_spaced_where_room_is_asked_for(store: CandleStore, new_budget: NewBudget) -> None:
    reserved = note_reservations(store)
    budget = new_budget(((100, 60),), spacing_ms=40)

    for _ in range(5):
        budget.take_turn()

    at_ms = reserved()
    assert all(later - earlier >= 40 for earlier, later in pairwise(at_ms))


def test_who_oversleeps_lets_its_turn_go_and_takes_another(store: CandleStore, database_uri: str) -> None:
    reserved = note_reservations(store)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        time.sleep(seconds + (0.5 if not slept else 0))
        slept.append(seconds)

    with connect(database_uri) as connection:
        source_id = store.source_id("blofin")
        budget = RateBudget(connection, "blofin", source_id, ((1, 1),), margin_ms=500, sleep=sleep)
        budget.take_turn()
        budget.take_turn()

    at_ms = reserved()
    assert len(slept) >= 2  # on a busy computer it may oversleep again
    assert len(at_ms) == 1 + len(slept)


def test_limits_that_a_newer_version_changes_count_what_was_sent_before(
    store: CandleStore, new_budget: NewBudget
) -> None:
    reserved = note_reservations(store)
    older = new_budget(((20, 60),))
    for _ in range(15):
        older.take_turn()

    new_budget(((10, 60),)).take_turn()

    at_ms = reserved()
    assert at_ms[15] - at_ms[5] >= 60_000


def test_budgets_of_two_sources_have_nothing_to_do_with_each_other(store: CandleStore, database_uri: str) -> None:
    slept: list[float] = []
    with connect(database_uri) as connection:
        for source in ("blofin", "okx"):
            budget = RateBudget(connection, source, store.source_id(source), ((3, 60),), sleep=slept.append)
            for _ in range(3):
                budget.take_turn()
        RateBudget(connection, "okx", store.source_id("okx"), ((3, 60),)).pause(RateLimited("okx", "stop", 60))
        RateBudget(connection, "blofin", store.source_id("blofin"), ((9, 60),)).take_turn()

    assert slept == []


# -- pauses --------------------------------------------------------------------------------------------------


def test_a_pause_stops_every_connection_and_says_why_and_how_long(store: CandleStore, new_budget: NewBudget) -> None:
    first, second = new_budget(((10, 1),)), new_budget(((10, 1),))

    first.pause(AddressBanned("blofin", "the firewall has banned our address", 300))

    for budget in (first, second):
        with pytest.raises(RateLimited, match="the firewall has banned our address") as raised:
            budget.take_turn()
        assert 298 < raised.value.retry_after_s <= 300
    assert one(store.connection, "SELECT cardinality(recent_ms) FROM backfill.rate_budgets") == 0


def test_who_waits_for_a_turn_when_the_pause_begins_does_not_take_it(store: CandleStore, new_budget: NewBudget) -> None:
    def pause_meanwhile(_: float) -> None:
        new_budget(((1, 1),)).pause(RateLimited("blofin", "too many requests", 60))

    waiting = new_budget(((1, 1),))
    waiting.take_turn()
    waiting._sleep = pause_meanwhile

    with pytest.raises(RateLimited, match="too many requests"):
        waiting.take_turn()


def test_of_two_pauses_the_longer_one_counts(store: CandleStore, new_budget: NewBudget) -> None:
    budget = new_budget(((10, 1),))
    budget.pause(RateLimited("blofin", "five minutes", 300))
    budget.pause(RateLimited("blofin", "one minute", 60))
    with pytest.raises(RateLimited, match="five minutes"):
        budget.take_turn()

    budget.pause(RateLimited("blofin", "one hour", 3600))
    with pytest.raises(RateLimited, match="one hour") as raised:
        budget.take_turn()
    assert raised.value.retry_after_s > 3590


def test_after_a_pause_the_turns_go_on(store: CandleStore, new_budget: NewBudget) -> None:
    budget = new_budget(((10, 1),))
    budget.pause(RateLimited("blofin", "too many requests", 300))
    store.connection.execute("UPDATE backfill.rate_budgets SET paused_until = clock_timestamp() - interval '1 ms'")

    budget.take_turn()

    assert one(store.connection, "SELECT cardinality(recent_ms) FROM backfill.rate_budgets") == 1


def test_a_pause_that_ends_between_two_looks_costs_a_turn_like_any_other(
    store: CandleStore, new_budget: NewBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = new_budget(((10, 1),))
    budget.pause(RateLimited("blofin", "too many requests", 300))

    def end_the_pause_first(look: Callable[[], tuple[int, int]] = budget._look_unless_paused) -> tuple[int, int]:
        store.connection.execute("UPDATE backfill.rate_budgets SET paused_until = clock_timestamp()")
        return look()

    monkeypatch.setattr(budget, "_look_unless_paused", end_the_pause_first)
    budget.take_turn()

    assert one(store.connection, "SELECT cardinality(recent_ms) FROM backfill.rate_budgets") == 1


def test_after_a_pause_one_request_goes_first_and_the_others_wait_for_how_it_fares(
    store: CandleStore, new_budget: NewBudget
) -> None:
    reserved = note_reservations(store)
    budget = new_budget(((10, 1),))
    budget.take_turn()
    budget.pause(RateLimited("blofin", "too many requests", 300))
    store.connection.execute("SELECT pg_sleep(0.005)")  # or the turn before the pause would count as one after it
    store.connection.execute("UPDATE backfill.rate_budgets SET paused_until = clock_timestamp() - interval '1 ms'")

    for _ in range(4):
        budget.take_turn()

    probe_ms, second_ms, *rest_ms = reserved()[-4:]
    assert second_ms - probe_ms == 2000
    assert all(later_ms < second_ms + 1000 for later_ms in rest_ms)


def test_a_pause_voids_the_turns_that_are_still_to_come(store: CandleStore, new_budget: NewBudget) -> None:
    def pause_for_a_moment(_: float) -> None:
        waiting._sleep = lambda _: None
        new_budget(((1, 60),)).pause(RateLimited("blofin", "too many requests", 60))
        store.connection.execute("UPDATE backfill.rate_budgets SET paused_until = clock_timestamp()")

    reserved = note_reservations(store)
    waiting = new_budget(((1, 60),))
    waiting.take_turn()
    waiting._sleep = pause_for_a_moment

    waiting.take_turn()

    assert len(reserved()) >= 3
    assert one(store.connection, "SELECT cardinality(recent_ms) FROM backfill.rate_budgets") == 1

"""The limits of the venue table beside those of the venues: used to nine tenths, and never exceeded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from backfill.domain.venues import VENUES
from backfill.errors import RateLimited
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import Connection
from backfill.storage.rate_budget import Pool, RateBudget
from integration.helpers import one


class Legal(NamedTuple):
    """What a venue permits an address, and what one of our full pages weighs there."""

    weight: int
    period_s: int
    page_weight: int


# Of the venues' own documents, or, where there are none, of ccxt: see the table of venues.
LEGAL = {
    "okx": Legal(20, 2, 1),
    "bybit": Legal(600, 5, 1),
    "binanceusdm": Legal(2400, 60, 5),
    "binance": Legal(6000, 60, 2),
    "bitget": Legal(3000, 300, 1),
    "gate": Legal(200, 10, 1),
    "kucoinfutures": Legal(2000, 30, 3),
    "mexc": Legal(20, 2, 1),
    "hyperliquid": Legal(1200, 60, 100),
}
LEGAL_OF_FUNDING = {"binanceusdm": Legal(500, 300, 1)}


def reserved_ms(connection: Connection, source_id: int, wanted: int, pool: Pool = "requests") -> list[int]:
    """The times handed out, in ms from now; every process takes them from the same row."""
    return list(one(connection, "SELECT reserve_requests(%s::smallint, %s, %s)", (source_id, wanted, pool)))


def most_in_any(at_ms: Sequence[int], period_ms: int) -> int:
    """The largest number of times within any half-open span of that length."""
    return max(bisect_left(at_ms, first + period_ms) - n for n, first in enumerate(at_ms))


@pytest.mark.parametrize("source", LEGAL)
def test_full_pages_use_nine_tenths_of_what_the_venue_permits_and_never_more(store: CandleStore, source: str) -> None:
    legal, venue = LEGAL[source], VENUES[source]
    source_id = store.source_id(source)
    RateBudget(store.connection, source, source_id, venue.limits_per_period_s, spacing_ms=venue.spacing_ms)
    (limit, _) = max(venue.limits_per_period_s, key=lambda one: one[1])

    at_ms = reserved_ms(store.connection, source_id, 2 * limit + 1)

    assert most_in_any(at_ms, legal.period_s * 1000) * legal.page_weight <= legal.weight
    lasting_ms = (at_ms[2 * limit] - at_ms[limit]) / limit  # a page, once the first burst is over
    used = legal.page_weight / lasting_ms * 1000 * legal.period_s / legal.weight
    assert used >= 0.9


@pytest.mark.parametrize("source", LEGAL_OF_FUNDING)
def test_funding_uses_nine_tenths_of_its_own_limit_whoever_asks_beside_all_other_requests(
    store: CandleStore, source: str
) -> None:
    legal, venue = LEGAL_OF_FUNDING[source], VENUES[source]
    source_id = store.source_id(source)
    store.rate_budget(source, venue.limits_per_period_s, spacing_ms=venue.spacing_ms)
    for _ in range(2):  # two processes have one row
        store.rate_budget(source, venue.funding_limits_per_period_s, pool="funding")

    at_ms = sorted(ms for _ in range(2) for ms in reserved_ms(store.connection, source_id, legal.weight, "funding"))

    assert most_in_any(at_ms, legal.period_s * 1000) <= legal.weight
    assert at_ms[legal.weight - 1] < 1.1 * legal.period_s * 1000, "nine tenths of the limit are used at least"
    assert reserved_ms(store.connection, source_id, 1)[0] <= venue.spacing_ms, "other requests do not wait for it"


def test_a_ban_stops_all_pools_of_the_source(store: CandleStore) -> None:
    requests = store.rate_budget("binanceusdm", ((2400, 60),))
    funding = store.rate_budget("binanceusdm", ((500, 300),), pool="funding")

    requests.pause(RateLimited("binanceusdm", "418", 60))

    with pytest.raises(RateLimited, match="paused for all processes: binanceusdm: 418"):
        funding.take_turn()
    assert [row["source"] for row in store.health("run").all()] == ["binanceusdm"], "a source is listed once"

"""Sources get their numbers once, whoever names them first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from integration.helpers import wait_until_blocked
from waiting import PATIENCE_S


def test_a_source_keeps_its_number_for_every_connection(store: CandleStore, database_uri: str) -> None:
    numbers = [store.source_id(name) for name in ("blofin", "okx", "blofin")]
    with CandleStore(connect(database_uri)) as other:
        assert [other.source_id("okx"), other.source_id("blofin")] == [numbers[1], numbers[0]]


def test_asking_again_uses_up_no_numbers(store: CandleStore, database_uri: str) -> None:
    """There are 32,767 of them, and every worker asks."""
    first = store.source_id("blofin")
    for _ in range(5):
        with CandleStore(connect(database_uri)) as worker:
            worker.source_id("blofin")

    assert store.source_id("okx") == first + 1


def test_a_source_that_two_name_at_the_same_moment_is_one(store: CandleStore, database_uri: str) -> None:
    with connect(database_uri) as slow, ThreadPoolExecutor(1) as thread, CandleStore(connect(database_uri)) as other:
        with slow.transaction():
            slow.execute("INSERT INTO backfill.sources (name) VALUES ('blofin')")
            named = thread.submit(other.source_id, "blofin")
            wait_until_blocked(store.connection)
        assert named.result(timeout=PATIENCE_S) == store.source_id("blofin")

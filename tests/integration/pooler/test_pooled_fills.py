"""Fills behind a pgbouncer in transaction mode."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import psycopg
import pytest

from backfill.errors import SeriesBusy
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.gap_fill_log import GapFillLog
from backfill.storage.locks import CLAIM_LIFE
from backfill.storage.series import Selection
from integration.cli.conftest import Cli, cli, environment, live_exchange, start_cli
from integration.exchange import PaperBlofin, assert_equals_market, fill, run_log
from integration.helpers import DAY_MS, assert_held_is_true, one, wanted_series
from integration.pooler.conftest import leftovers
from waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.long

__all__ = ["cli", "environment", "live_exchange", "start_cli"]

Start = Callable[..., "Popen[str]"]
UNIVERSE = "instruments: [BTC-USDT, ETH-USDT, SOL-USDT]\ntimeframes: {1m: 7d, 1h: 7d}\n"


@pytest.fixture
def span(environment: pytest.MonkeyPatch, store: CandleStore, pooled_uri: str, tmp_path: Path) -> tuple[str, ...]:
    """Two settled days, and commands that reach Postgres by way of the pooler."""
    (tmp_path / "universe.yaml").write_text(UNIVERSE)
    environment.setenv("BACKFILL_DB", pooled_uri)
    end_ms = math.floor((store.now().timestamp() - 60) / 3600) * 3_600_000
    return "--from", str(end_ms - 2 * DAY_MS), "--to", str(end_ms)


def assert_whole(store: CandleStore, exchange: PaperBlofin, span: tuple[str, ...]) -> None:
    windows = store.windows(Selection(store.now(), from_ms=int(span[1]), to_ms=int(span[3])))
    assert len(windows) == 6
    for window in windows:
        assert_equals_market(store, window, exchange.market)
    assert_held_is_true(store.connection)
    asked = Counter((question.symbol, question.bar, question.after_ms) for question in exchange.asked)
    assert set(asked.values()) == {1}


def test_a_pooler_is_found_without_being_named(pooled_uri: str, database_uri: str) -> None:
    with connect(pooled_uri) as pooled, connect(database_uri) as direct:
        assert (pooled.pooled, direct.pooled) == (True, False)
        for _ in range(20):
            assert one(pooled, "SELECT count(*) FROM series") == 0


def test_settings_of_the_database_change_nothing_behind_a_pooler(pooled_uri: str, database_uri: str) -> None:
    name = database_uri.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(database_uri, autocommit=True) as owner:
        for setting in ("datestyle = 'German'", "timezone = 'Asia/Kolkata'", "search_path = pg_catalog"):
            owner.execute(f"ALTER DATABASE {name} SET {setting}")

    with connect(pooled_uri) as session:
        for _ in range(5):
            assert one(session, "SELECT '2026-03-04 12:00:00'::timestamptz").isoformat() == "2026-03-04T12:00:00+00:00"
            assert one(session, "SELECT count(*) FROM series") == 0


def test_a_fill_asks_once_and_leaves_nothing_behind(
    cli: Cli, store: CandleStore, live_exchange: PaperBlofin, span: tuple[str, ...], database_uri: str
) -> None:
    assert cli("fill", *span).code == 0

    assert_whole(store, live_exchange, span)
    assert leftovers(database_uri) == []
    assert cli("fill", *span, "--json").document["requests"] == 0


def test_three_fills_at_once_and_a_direct_one_ask_for_nothing_twice(
    start_cli: Start,
    environment: pytest.MonkeyPatch,
    store: CandleStore,
    live_exchange: PaperBlofin,
    span: tuple[str, ...],
    database_uri: str,
) -> None:
    live_exchange.latency_ms = 30
    processes = [start_cli("fill", *span) for _ in range(3)]
    environment.setenv("BACKFILL_DB", database_uri)
    processes.append(start_cli("fill", *span))

    for process in processes:
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, out + err

    assert_whole(store, live_exchange, span)
    assert {status for (status,) in run_log(store, "status")} == {"complete"}
    assert leftovers(database_uri) == []


def test_direct_and_pooled_workers_keep_out_of_each_others_series(
    store: CandleStore, pooled_uri: str, database_uri: str
) -> None:
    window = wanted_series(store)
    with CandleStore(connect(pooled_uri)) as pooled, CandleStore(connect(pooled_uri)) as another:
        with store.working_on(window, 0), pytest.raises(SeriesBusy, match="held by session"):
            pooled.working_on(window, 0).__enter__()
        with pooled.working_on(window, 0):
            for other in (store, another):
                with pytest.raises(SeriesBusy, match=r"held by process .* until"):
                    other.working_on(window, 0).__enter__()
        with store.working_on(window, 0):
            pass
    assert leftovers(database_uri) == []


def test_a_worker_whose_claim_ran_out_and_was_taken_writes_no_more(
    store: CandleStore, exchange: PaperBlofin, pooled_uri: str
) -> None:
    window = wanted_series(store, history_ms=3 * DAY_MS)
    exchange.latency_ms = 200
    with CandleStore(connect(pooled_uri)) as slow:

        def take_over() -> None:
            slow_pages = one(store.connection, "SELECT coalesce(max(rows_inserted), 0) FROM gap_fill_runs")
            if slow_pages and not taken:
                taken.append(store.connection.execute("UPDATE claims SET holder = gen_random_uuid()"))

        taken: list[object] = []
        exchange.manners.misbehave = lambda question, true: take_over()  # type: ignore[func-returns-value]
        with pytest.raises(SeriesBusy, match="is held by process"):
            fill(slow, exchange, window, pages_in_flight=1)

    assert taken
    assert 0 < one(store.connection, "SELECT count(*) FROM candles") < 4320


def test_the_series_of_a_killed_worker_is_free_when_its_claim_has_run_out(
    start_cli: Start, cli: Cli, store: CandleStore, live_exchange: PaperBlofin, span: tuple[str, ...]
) -> None:
    live_exchange.latency_ms = 400
    victim = start_cli("fill", *span)
    wait_for("a page", lambda: one(store.connection, "SELECT coalesce(sum(rows_inserted), 0) FROM gap_fill_runs") > 0)
    victim.kill()
    victim.communicate(timeout=PATIENCE_S)
    live_exchange.behave(now_ms=None)

    assert GapFillLog(store.connection).abandon_dead_runs() == 0  # they may still be at work
    claims = one(store.connection, "SELECT count(*) FROM claims WHERE expires_at <= now() + %s", (CLAIM_LIFE,))
    assert claims > 0
    store.connection.execute("UPDATE claims SET expires_at = now() - interval '1 second'")
    assert GapFillLog(store.connection).abandon_dead_runs() == claims

    assert cli("fill", *span).code == 0

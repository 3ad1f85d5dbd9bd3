"""Several processes, and processes that die: the end is that of one that ran undisturbed."""

from __future__ import annotations

import math
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from backfill.paper.coins import LIQUID_COINS
from backfill.sources.stop_request import SERIES_GRACE_S
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection
from integration.cli.conftest import Cli
from integration.exchange import PaperBlofin, assert_equals_market, run_log
from integration.helpers import DAY_MS, assert_held_is_true, one, rows
from waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.long

Start = Callable[..., "Popen[str]"]
UNIVERSE = "instruments: [BTC-USDT, ETH-USDT, SOL-USDT]\ntimeframes: {1m: 7d, 1h: 7d}\n"
assert [coin.instrument.symbol for coin in LIQUID_COINS[:3]] == ["BTC-USDT", "ETH-USDT", "SOL-USDT"]


@pytest.fixture
def span(store: CandleStore, environment: pytest.MonkeyPatch, tmp_path: Path) -> tuple[str, ...]:
    """Five days that have settled when the test begins, however long it takes, and the universe for them."""
    (tmp_path / "universe.yaml").write_text(UNIVERSE)
    end_ms = math.floor((store.now().timestamp() - 60) / 3600) * 3_600_000
    return "--from", str(end_ms - 5 * DAY_MS), "--to", str(end_ms)


def rows_inserted(store: CandleStore) -> int:
    return int(one(store.connection, "SELECT coalesce(sum(rows_inserted), 0) FROM backfill.gap_fill_runs"))


def assert_undisturbed(store: CandleStore, exchange: PaperBlofin, span: tuple[str, ...]) -> None:
    """All series equal the market, each bar once, the ledger true, and the log adds up to the candles."""
    windows = store.windows(Selection(store.now(), from_ms=int(span[1]), to_ms=int(span[3])))
    assert len(windows) == 6
    for window in windows:
        assert_equals_market(store, window, exchange.market)
    assert_held_is_true(store.connection)
    logged = one(store.connection, "SELECT sum(rows_inserted) FROM backfill.gap_fill_runs")
    assert logged == one(store.connection, "SELECT count(*) FROM backfill.candles")
    assert one(store.connection, "SELECT count(*) FROM backfill.revisions") == 0


@pytest.mark.parametrize("pages_before", [1, 5])
def test_after_a_kill_in_mid_fill_a_rerun_ends_as_if_nothing_had_happened(
    start_cli: Start,
    cli: Cli,
    store: CandleStore,
    live_exchange: PaperBlofin,
    span: tuple[str, ...],
    pages_before: int,
) -> None:
    live_exchange.latency_ms = 400  # seconds for the whole fill, so that it is seen in the middle
    victim = start_cli("fill", *span)

    def has_stored_enough() -> bool:
        assert victim.poll() is None, victim.communicate()
        return rows_inserted(store) >= pages_before * 720

    wait_for(f"{pages_before} pages", has_stored_enough)
    victim.kill()
    assert victim.wait(timeout=PATIENCE_S) == -signal.SIGKILL
    victim.communicate()

    # What is there is whole pages, each with its ledger, its counts and its run.
    _wait_until_alone(store)
    assert_held_is_true(store.connection)
    killed = dict(rows(store.connection, "SELECT status, count(*)::int FROM backfill.gap_fill_runs GROUP BY 1"))
    assert killed["running"] >= 1
    counted = (
        "SELECT r.rows_inserted = count(c.*) FROM backfill.gap_fill_runs AS r "
        "LEFT JOIN backfill.candles AS c USING (series_id) GROUP BY r.id"
    )
    assert set(rows(store.connection, counted)) == {(True,)}

    live_exchange.behave(now_ms=None)
    said = cli("fill", *span)

    assert said.code == 0
    assert_undisturbed(store, live_exchange, span)
    after = dict(rows(store.connection, "SELECT status, count(*)::int FROM backfill.gap_fill_runs GROUP BY 1"))
    assert after == {"abandoned": killed["running"], "complete": killed.get("complete", 0) + 6}
    assert cli("fill", *span, "--json").document["requests"] == 0


def test_two_processes_on_the_same_universe_ask_for_nothing_twice(
    start_cli: Start, store: CandleStore, live_exchange: PaperBlofin, span: tuple[str, ...]
) -> None:
    live_exchange.latency_ms = 15

    both = [start_cli("fill", *span) for _ in range(2)]

    for one_of_both in both:
        out, err = one_of_both.communicate(timeout=PATIENCE_S)
        assert one_of_both.returncode == 0, out + err
    asked = Counter((question.symbol, question.bar, question.after_ms) for question in live_exchange.asked)
    assert set(asked.values()) == {1}
    assert_undisturbed(store, live_exchange, span)
    assert run_log(store, "status") == [("complete",)] * 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
@pytest.mark.parametrize("latency_ms", [300, 8000], ids=["answers come", "answers hang"])
def test_a_signal_ends_a_fill_without_waiting_for_answers_and_keeps_what_has_arrived(
    start_cli: Start,
    cli: Cli,
    store: CandleStore,
    live_exchange: PaperBlofin,
    span: tuple[str, ...],
    number: signal.Signals,
    latency_ms: int,
) -> None:
    live_exchange.latency_ms = 300
    process = start_cli("fill", *span, "--batch-limit", "240")  # 94 requests

    def has_begun() -> bool:
        assert process.poll() is None, process.communicate()
        return rows_inserted(store) > 0

    wait_for("the first page", has_begun, every_s=0.001)
    live_exchange.latency_ms = latency_ms
    time.sleep(0.3)
    asked = len(live_exchange.asked)
    process.send_signal(number)
    began = time.monotonic()

    _, err = process.communicate(timeout=PATIENCE_S)

    took_s = time.monotonic() - began
    assert took_s < 6, "less than an answer that hangs takes; 2 s on an idle machine"
    assert process.returncode == 1
    assert f"interrupted ({number.name}); what was stored stays stored" in err
    assert "Traceback" not in err
    assert len(live_exchange.asked) <= asked + 12  # those on their way, four a series
    unfinished = rows(store.connection, "SELECT status, error FROM backfill.gap_fill_runs WHERE status <> 'complete'")
    assert unfinished
    for status, error in unfinished:
        # On a machine too busy for a series to end within its grace the next fill finds the row.
        assert (status, (error or "").partition(":")[0]) == ("partial", f"stopped by {number.name}") or (
            status == "running" and took_s > SERIES_GRACE_S
        )
    assert_held_is_true(store.connection)
    live_exchange.behave(now_ms=None)
    assert cli("fill", *span).code == 0
    assert_undisturbed(store, live_exchange, span)


def _wait_until_alone(store: CandleStore) -> None:
    """Until the server has noticed that the killed process is gone."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_for("the killed process's connections to end", lambda: one(store.connection, others) == 0)

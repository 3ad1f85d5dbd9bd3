"""``backfill migrate | status | gaps | fill`` from an empty database to a whole history and back."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from backfill.paper.protocol import Answer
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection
from integration.cli.conftest import PLUGINS, Cli
from integration.exchange import PaperBlofin, assert_equals_market, bars_of, data_of, punch, run_log, saying
from integration.helpers import contents, last_full_hour, one, rows
from waiting import PATIENCE_S

BARS = 2 * (12 * 60 + 7 * 24)


def assert_whole(store: CandleStore, exchange: PaperBlofin) -> None:
    """Every declared series equals the market, up to the end of its last run's window."""
    windows = store.windows(Selection(store.now()))
    for window in windows:
        ended = one(
            store.connection,
            "SELECT max(window_end) FROM backfill.gap_fill_runs WHERE series_id = %s",
            (window.series_id,),
        )
        began = one(
            store.connection, "SELECT min(open_time) FROM backfill.candles WHERE series_id = %s", (window.series_id,)
        )
        span = window._replace(start_ms=_ms(began), end_ms=_ms(ended))
        assert_equals_market(store, span, exchange.market)


def _ms(at: datetime) -> int:
    return math.floor(at.timestamp() * 1000)


# -- migrate -------------------------------------------------------------------------------------------------


def test_migrate_says_what_it_applied_and_the_second_time_that_there_was_nothing(
    cli: Cli, environment: pytest.MonkeyPatch, empty_database_uri: str
) -> None:
    environment.setenv("BACKFILL_DB", empty_database_uri)

    first, second, third = cli("migrate"), cli("migrate"), cli("migrate", "--json")

    assert (first.code, second.code, third.code) == (0, 0, 0)
    assert first.out.startswith("applied 0001_create_instruments_and_series")
    assert second.out == "the schema is up to date\n"
    assert third.document["applied"] == []


def test_db_on_the_command_line_goes_before_the_variable(
    cli: Cli, environment: pytest.MonkeyPatch, empty_database_uri: str, store: CandleStore
) -> None:
    assert cli("migrate", "--db", empty_database_uri, "--json").document["applied"] != []


# -- from empty to whole -------------------------------------------------------------------------------------


def test_an_empty_database_is_filled_and_then_there_is_nothing_left_to_do(
    cli: Cli, store: CandleStore, live_exchange: PaperBlofin
) -> None:
    nothing = cli("status", "--json")
    assert (nothing.code, nothing.document["series"]) == (3, []), "what nobody has declared is not complete"
    assert live_exchange.requests.total == 0
    assert cli("declare").code == 0
    live_exchange.behave(now_ms=None)
    before = cli("status", "--json")
    assert before.code == 3
    assert before.document["missing_candles"] == BARS
    assert {row["status"] for row in before.document["series"]} == {"pending"}
    assert live_exchange.requests.total == 0

    filled = cli("fill")
    assert filled.code == 0
    assert f"{BARS:,} inserted" in filled.out
    assert "0 candles are still missing" in filled.out
    assert sorted(line.split(":")[0] for line in filled.err.splitlines()) == [
        "BTC-USDT 1h", "BTC-USDT 1m", "ETH-USDT 1h", "ETH-USDT 1m",
    ]  # fmt: skip
    assert_whole(store, live_exchange)

    live_exchange.behave(now_ms=None)
    again = cli("fill", "--to", str(_ms(store.now()) - 120_000), "--json")
    assert again.code == 0
    assert (again.document["rows_inserted"], again.document["requests"]) == (0, 0)
    assert live_exchange.requests.total == 0
    assert set(run_log(store, "dag_id, task_id, status")) == {("backfill", "fill", "complete")}


def test_status_and_gaps_tell_what_a_punched_hole_costs_and_fill_closes_it(
    cli: Cli, store: CandleStore, live_exchange: PaperBlofin
) -> None:
    cli("fill")
    (window,) = store.windows(Selection(store.now(), symbols=["ETH-USDT"], timeframes=["1h"]))
    hole = bars_of(window)[50:55]
    punch(store, window, hole)
    select = ("--symbols", "ETH-USDT", "--timeframes", "1h")

    gaps, status = cli("gaps", *select, "--json"), cli("status", *select, "--json")
    assert (gaps.code, status.code) == (3, 3)
    (gap,) = gaps.document["gaps"]
    assert (gap["symbol"], gap["timeframe"], gap["missing_candles"]) == ("ETH-USDT", "1h", 5)
    assert _ms(datetime.fromisoformat(gap["gap_start"])) == hole[0]
    assert datetime.fromisoformat(gap["gap_end"]) - datetime.fromisoformat(gap["gap_start"]) == timedelta(hours=5)
    assert status.document["missing_candles"] == 5
    assert "ETH-USDT" in cli("gaps", *select).out
    assert "5 candles are missing" in cli("status", *select).out

    filled = cli("fill", *select, "--json")
    assert (filled.code, filled.document["rows_inserted"], filled.document["requests"]) == (0, 5, 1)
    assert cli("gaps", *select).out == "no gaps\n"
    assert cli("gaps", *select).code == 0
    assert_whole(store, live_exchange)


def test_a_dry_run_asks_nobody_and_starts_no_run(cli: Cli, store: CandleStore, live_exchange: PaperBlofin) -> None:
    cli("declare")
    live_exchange.behave(now_ms=None)
    planned = cli("fill", "--dry-run", "--json")

    assert planned.code == 3
    assert (planned.document["missing_candles"], planned.document["requests_planned"]) == (BARS, 4)
    assert live_exchange.requests.total == 0
    assert run_log(store, "id") == []
    assert "4 requests would fetch them" in cli("fill", "--dry-run").out
    cli("fill")
    assert cli("fill", "--dry-run", "--to", str(_ms(store.now()) - 120_000)).code == 0


def test_a_fill_takes_the_plan_that_the_dry_run_has_shown(
    cli: Cli, store: CandleStore, live_exchange: PaperBlofin
) -> None:
    cli("declare")
    to = ("--to", str(_ms(store.now()) - 120_000))

    planned, filled = cli("fill", *to, "--dry-run", "--json").document, cli("fill", *to, "--json").document

    assert planned["requests_planned"] == filled["requests_planned"] == filled["requests"] == 4
    assert len(live_exchange.asked) == 4


def test_only_what_is_named_is_filled_and_only_in_the_named_window(cli: Cli, store: CandleStore) -> None:
    end = last_full_hour(store)
    start = end - timedelta(days=3)

    said = cli(
        "fill", "--symbols", "ETH-USDT", "--timeframes", "1h", "--from", start.isoformat(), "--to", str(_ms(end))
    )

    assert said.code == 0
    assert rows(store.connection, "SELECT DISTINCT symbol, timeframe FROM backfill.ohlcv") == [("ETH-USDT", "1h")]
    assert rows(store.connection, "SELECT min(open_time), max(open_time), count(*) FROM backfill.ohlcv") == [
        (start, end - timedelta(hours=1), 72)
    ]


def test_the_settings_name_what_the_command_line_does_not(
    cli: Cli, environment: pytest.MonkeyPatch, store: CandleStore
) -> None:
    environment.setenv("BACKFILL_SYMBOLS", "BTC-USDT")
    environment.setenv("BACKFILL_TIMEFRAMES", "1h")
    environment.setenv("BACKFILL_LOOKBACK_HOURS", "24")

    assert cli("fill", "--json").document["rows_inserted"] == 24
    assert one(store.connection, "SELECT count(*) FROM backfill.series WHERE wanted") == 4


# -- exit codes ----------------------------------------------------------------------------------------------


def test_gaps_that_remain_are_exit_code_3(cli: Cli, store: CandleStore, live_exchange: PaperBlofin) -> None:
    def one_bar_broken(question: object, true: Answer) -> Answer:
        data = data_of(true)
        data[10][2] = "high"
        return saying(data)

    live_exchange.manners.misbehave = one_bar_broken

    said = cli("fill", "--symbols", "BTC-USDT", "--timeframes", "1h")

    assert said.code == 3
    assert "1 candles are still missing" in said.out
    assert cli("status", "--symbols", "BTC-USDT", "--timeframes", "1h").code == 3


def test_a_series_that_failed_is_exit_code_1_and_the_others_are_filled_all_the_same(
    cli: Cli, store: CandleStore, live_exchange: PaperBlofin
) -> None:
    live_exchange.manners.misbehave = lambda question, true: Answer(404, b"") if question.symbol == "BTC-USDT" else None

    said = cli("fill", "--timeframes", "1h")

    assert said.code == 1
    assert "error: blofin: /api/v1/market/candles: HTTP 404" in said.err
    assert one(store.connection, "SELECT count(*) FROM backfill.ohlcv WHERE symbol = 'ETH-USDT'") == 168
    live_exchange.behave(now_ms=None)
    assert cli("fill", "--timeframes", "1h").code == 0


def test_a_ban_that_another_process_met_is_told_and_nobody_is_asked(
    cli: Cli, store: CandleStore, live_exchange: PaperBlofin
) -> None:
    cli("fill", "--timeframes", "1h")  # makes the budget
    store.connection.execute(
        "UPDATE backfill.rate_budgets SET paused_until = now() + interval '4 minutes', pause_reason = 'banned before'"
    )
    live_exchange.behave(now_ms=None)

    said = cli("fill", "--timeframes", "1m")

    assert said.code == 1
    assert "banned before" in said.err
    assert live_exchange.requests.total == 0


def test_status_writes_the_wish_list_and_nothing_else(cli: Cli, store: CandleStore) -> None:
    cli("status")
    before = contents(store.connection)

    cli("status")
    cli("gaps")

    assert contents(store.connection) == before
    assert run_log(store, "id") == []


# -- as a process --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_a_json_run_prints_one_document_and_only_that_and_needs_no_airflow() -> None:
    program = (
        "import sys; from backfill.cli.main import main; code = main(['fill', '--timeframes', '1h', '--json']); "
        "sys.exit(99 if 'airflow' in sys.modules or 'ccxt' in sys.modules else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["rows_inserted"] == 2 * 168

"""``backfill prune``: by the retentions of the file; told first, then done, and not brought back by the next fill."""

from __future__ import annotations

import os
from pathlib import Path

from backfill.storage.candle_store import CandleStore
from integration.cli.conftest import Cli
from integration.helpers import one

STORED = "SELECT count(*) FROM backfill.candles"
LOG = ("gap_fill_runs", "source_attempts")


def declare(timeframes: str) -> None:
    Path(os.environ["BACKFILL_UNIVERSE"]).write_text(f"instruments: [BTC-USDT, ETH-USDT]\ntimeframes: {timeframes}\n")


def test_what_the_file_keeps_no_longer_is_removed_for_good(cli: Cli, store: CandleStore) -> None:
    declare("{1h: 10d, 4h: 10d}\nroll_up: false")
    assert cli("fill").code == 0
    assert one(store.connection, STORED) == 2 * (240 + 60)
    declare("{1h: {history: 2d, retention: 3d}, 4h: 10d}\nroll_up: false")
    assert cli("prune", "--dry-run").out == "0 candles would be removed\n", "until the file is declared"
    assert cli("declare").code == 0

    told = cli("prune", "--dry-run")
    assert (told.code, one(store.connection, STORED)) == (0, 600)
    done = cli("prune", "--json")
    again = cli("prune")

    assert told.out.splitlines()[-1] == f"{2 * 168} candles would be removed"
    assert (done.code, done.document["candles"], done.document["left"]) == (0, 2 * 168, [])
    assert [(row["symbol"], row["timeframe"], row["candles"]) for row in done.document["series"]] == [
        ("BTC-USDT", "1h", 168),
        ("ETH-USDT", "1h", 168),
    ]
    assert again.out == "0 candles removed\n"
    refilled = cli("fill", "--from", "2020-01-01", "--timeframes", "1h", "--json")
    assert (refilled.code, refilled.document["rows_inserted"], refilled.document["requests"]) == (0, 0, 0)
    assert one(store.connection, STORED) == 600 - 2 * 168


def test_old_rows_of_the_run_log_go_where_the_file_says_how_long_they_stay(cli: Cli, store: CandleStore) -> None:
    declare("{1h: 2d}\nroll_up: false")
    for _ in range(2):
        assert cli("fill").code == 0
    store.connection.execute("UPDATE backfill.gap_fill_runs SET started_at = started_at - interval '8 days'")
    store.connection.execute("UPDATE backfill.source_attempts SET recorded_at = recorded_at - interval '8 days'")
    runs, answers = (one(store.connection, f"SELECT count(*) FROM backfill.{table}") for table in LOG)
    assert cli("prune", "--json").document["run_log"] == {"runs": 0, "answers": 0}
    declare("{1h: 2d}\nroll_up: false\nlog_retention: 7d")

    said = cli("prune", "--dry-run")
    assert cli("prune", "--json").document["run_log"] == {"runs": runs - 2, "answers": answers}

    assert f"run log: {runs - 2:,} runs and {answers:,} counted answers would be removed" in said.out
    assert [one(store.connection, f"SELECT count(*) FROM backfill.{table}") for table in LOG] == [2, 0]


def test_status_tells_which_series_are_ready(cli: Cli, store: CandleStore) -> None:
    declare("{1h: {history: 10d, ready_bars: 100}, 4h: 10d}")
    cli("declare")
    before = cli("status", "--json").document["series"]
    cli("fill", "--symbols", "BTC-USDT")
    after = cli("status", "--json").document["series"]

    assert not any(row["ready"] for row in before)
    assert [(row["symbol"], row["timeframe"], row["ready"], row["bars_needed"]) for row in after] == [
        ("BTC-USDT", "1h", True, 100),
        ("BTC-USDT", "4h", True, 60),
        ("ETH-USDT", "1h", False, 100),
        ("ETH-USDT", "4h", False, 60),
    ]
    shown = [line.split() for line in cli("status").out.splitlines() if line.lstrip().startswith("BTC-USDT")]
    assert [("yes" in line, line[1]) for line in shown] == [(True, "1h"), (True, "4h")]

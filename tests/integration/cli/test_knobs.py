"""The knobs of the older job: what `backfill fill` and `make backfill` make of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from backfill.storage.candle_store import CandleStore
from integration.cli.conftest import Cli
from integration.exchange import PaperBlofin
from integration.helpers import last_full_hour, one, rows

ROOT = Path(__file__).parents[3]
HOUR = timedelta(hours=1)
HOURS = 7 * 24


@pytest.mark.parametrize("spelled", ["BTC/USDT", "BTC/USDT:USDT", "BTC-USDT"])
def test_a_pair_as_other_tools_spell_it_is_the_perpetual(cli: Cli, store: CandleStore, spelled: str) -> None:
    assert cli("fill", "--symbols", spelled, "--timeframes", "1h").code == 0
    assert rows(store.connection, "SELECT DISTINCT symbol FROM backfill.ohlcv") == [("BTC-USDT",)]


@pytest.mark.parametrize(
    ("spelled", "hint"),
    [
        ("BTCUSDT", "'BTCUSDT' is not an instrument's name; did you mean BTC-USDT?"),
        ("btc/usdt", "unknown symbol 'btc-usdt'"),
        ("BTC/USDT:BTC", "'BTC/USDT:BTC' is not an instrument's name"),
        ("BTC/", "'BTC/' is not an instrument's name"),
        ("BTC/USDT-SWAP", "'BTC/USDT-SWAP' is not an instrument's name"),
    ],
)
def test_a_name_that_is_none_is_told_before_anybody_is_asked(
    cli: Cli, live_exchange: PaperBlofin, spelled: str, hint: str
) -> None:
    said = cli("fill", "--symbols", spelled)

    assert said.code == 2
    assert hint in said.err
    assert live_exchange.requests.total == 0


def test_start_and_end_are_epoch_ms_and_half_open(cli: Cli, store: CandleStore) -> None:
    end = last_full_hour(store) - timedelta(days=1)
    start_ms, end_ms = (round(1000 * at.timestamp()) for at in (end - timedelta(hours=10), end))

    said = cli("fill", "--timeframes", "1h", "--symbols", "BTC/USDT", "--from", str(start_ms), "--to", str(end_ms))

    assert said.code == 0
    assert rows(store.connection, "SELECT min(open_time), max(open_time), count(*) FROM backfill.ohlcv") == [
        (end - timedelta(hours=10), end - timedelta(hours=1), 10)
    ]


def test_without_a_start_a_run_goes_on_where_the_last_one_stopped_and_closes_holes_behind(
    cli: Cli, store: CandleStore, live_exchange: PaperBlofin
) -> None:
    noon = last_full_hour(store)
    stopped_at = noon - timedelta(days=2)
    cli("fill", "--timeframes", "1h", "--symbols", "BTC/USDT", "--to", stopped_at.isoformat())
    hole = noon - timedelta(days=5)
    store.connection.execute("DELETE FROM backfill.candles WHERE open_time = %s", [hole])

    again = cli("fill", "--timeframes", "1h", "--symbols", "BTC/USDT", "--to", noon.isoformat(), "--json").document

    assert again["rows_inserted"] == 49
    ((first, last, bars),) = rows(
        store.connection, "SELECT min(open_time), max(open_time), count(*) FROM backfill.ohlcv"
    )
    assert (last, bars) == (noon - HOUR, (noon - first) // HOUR)
    assert first <= noon - timedelta(hours=HOURS - 1)


def test_the_batch_limit_is_the_rows_of_a_page(cli: Cli, live_exchange: PaperBlofin) -> None:
    select = ("--symbols", "BTC-USDT", "--timeframes", "1h")

    cli("declare")
    planned = cli("fill", *select, "--batch-limit", "50", "--dry-run", "--json").document["requests_planned"]
    filled = cli("fill", *select, "--batch-limit", "50", "--json").document

    assert planned == filled["requests"] == len(live_exchange.asked) == 4


def test_the_pause_is_kept_between_requests(cli: Cli, store: CandleStore) -> None:
    said = cli("fill", "--symbols", "BTC-USDT", "--timeframes", "1h", "--batch-limit", "50", "--sleep-ms", "60")

    assert said.code == 0
    sent_ms = one(store.connection, "SELECT recent_ms FROM backfill.rate_budgets")
    assert len(sent_ms) == 5  # the listing, and four pages
    assert all(later - earlier >= 60 for earlier, later in pairwise(sent_ms))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--batch-limit", "1441"), "--batch-limit: '1441' is no whole number from 1 to 1440"),
        (("--batch-limit", "0"), "--batch-limit: '0' is no whole number from 1 to 1440"),
        (("--sleep-ms", "-1"), "--sleep-ms: "),
        (("--sleep-ms", "60001"), "--sleep-ms: '60001' is no whole number from 0 to 60000"),
        (("--from", "0"), "--from: time: '0' is not a time"),
    ],
)
def test_a_knob_out_of_its_range_is_bad_usage(cli: Cli, words: tuple[str, str], complaint: str) -> None:
    said = cli("fill", *words)

    assert said.code == 2
    assert complaint in said.err


# -- make backfill -------------------------------------------------------------------------------------------


@pytest.fixture
def make(tmp_path: Path) -> object:
    """Runs `make backfill` with a `backfill` that only tells how it was called; gives the lines."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    (tmp_path / "bin").mkdir()
    told = tmp_path / "bin" / "backfill"
    told.write_text('#!/bin/sh\nprintf "%s|" "$BACKFILL_PROFILE" "$@"\necho\n')
    told.chmod(0o755)

    def run(*words: str, **environment: str) -> list[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BACKFILL_", "MAKE"))}
        done = subprocess.run(
            ["make", "-s", "-C", str(ROOT), "-o", "install", "backfill", f"VENV={tmp_path}", *words],
            env={**kept, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    return run


def test_make_backfill_keeps_the_deep_history_of_all(make) -> None:  # type: ignore[no-untyped-def]
    assert make() == ["|migrate|", "deep_history|fill|"]


def test_make_backfill_takes_the_old_knobs_where_zero_is_unset(make) -> None:  # type: ignore[no-untyped-def]
    words = ("SYMBOLS=BTC/USDT, ETH/USDT", "TIMEFRAME=1h", "START_TS=1700000000000", "END_TS=0", "BATCH_LIMIT=500",
             "SLEEP_MS=200")  # fmt: skip

    assert make(*words)[1] == (
        "deep_history|fill|--symbols|BTC/USDT, ETH/USDT|--timeframes|1h|--from|1700000000000|--batch-limit|500|"
        "--sleep-ms|200|"
    )


def test_make_backfill_takes_no_knob_from_the_environment_but_its_own_settings(make) -> None:  # type: ignore[no-untyped-def]
    assert make(SYMBOLS="BTC/USDT", TIMEFRAME="1m")[1] == "deep_history|fill|"
    assert make(BACKFILL_PROFILE="mine")[1] == "mine|fill|"
    assert make(BACKFILL_PROFILE="")[1] == "|fill|"

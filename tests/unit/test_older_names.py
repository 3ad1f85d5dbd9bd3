"""Names of older jobs work, or are accepted with a line that says what replaced them; none stops a run."""

from __future__ import annotations

import logging

import pytest

from backfill.config import older_names
from backfill.config.connections import database_uri
from backfill.config.env_file import adopt, parse_env, read_env_files
from backfill.config.older_names import fill_options
from backfill.config.settings import load_settings
from backfill.config.universe_file import load_universe
from backfill.errors import SettingsInvalid

# As the older systems' documents print it, with what they say beside it.
ENV_OF_000 = """
BACKFILL_LOOKBACK_HOURS=168          # 7 days (was 16)
BACKFILL_BATCH_LIMIT=1000            # 1000 candles (was limited to 60-100)
BACKFILL_MAX_GAP_MINUTES=10080       # 7 days in minutes (was 960)
BACKFILL_REQUEST_SLEEP_MS=200        # 200ms (was 300)
BACKFILL_SYMBOL_SLEEP_MS=500         # 500ms (was 800)
"""
ENV_OF_001 = """
BACKFILL_LOOKBACK_HOURS=168          # 7 days
BACKFILL_BATCH_LIMIT=300             # Blofin API max
BACKFILL_REQUEST_SLEEP_MS=250        # Rate limiting
BACKFILL_SYMBOL_SLEEP_MS=500         # Between symbols
"""
ENV_OF_004 = """
SYMBOLS=BTC/USDT,ETH/USDT
TIMEFRAME=1m
START_TS=0
END_TS=0
BATCH_LIMIT=1000
SLEEP_MS=200
API_KEY=abc
API_SECRET="d#e"
"""


@pytest.fixture(autouse=True)
def lines(caplog, monkeypatch):
    """What is said, as if for the first time."""
    monkeypatch.setattr(older_names, "_said", set())
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(("env", "rows", "sleep"), [(ENV_OF_000, 1000, 200), (ENV_OF_001, 300, 250)])
def test_the_env_files_of_the_older_systems_are_read_as_they_stand(env, rows, sleep, lines):
    environ = {}
    assert adopt(parse_env(env), environ) == {}
    settings = load_settings(environ)
    assert (settings.lookback_hours, settings.batch_limit, settings.request_sleep_ms) == (168, rows, sleep)
    assert any(line.startswith("BACKFILL_SYMBOL_SLEEP_MS has no use: ") for line in lines())


def test_the_knobs_of_the_binance_job_become_options_of_a_fill(lines):
    knobs = adopt(parse_env(ENV_OF_004), environ := {})
    assert environ == {}, "names as common as these do not become variables"
    assert fill_options(knobs) == [
        "--symbols", "BTC/USDT,ETH/USDT", "--timeframes", "1m", "--batch-limit", "1000", "--sleep-ms", "200",
    ]  # fmt: skip
    assert {line.split()[0] for line in lines()} == {
        "SYMBOLS", "TIMEFRAME", "BATCH_LIMIT", "SLEEP_MS", "API_KEY", "API_SECRET",
    }  # fmt: skip
    assert "abc" not in " ".join(lines())


def test_a_batch_larger_than_any_page_is_the_largest_page():
    assert fill_options({"BATCH_LIMIT": "1500", "SLEEP_MS": "0"}) == ["--batch-limit", "1440"]


@pytest.mark.parametrize(
    ("given", "hours", "line"),
    [
        ({"DAYS": "7"}, 168, "BACKFILL_LOOKBACK_DAYS=7 is read as BACKFILL_LOOKBACK_HOURS=168, which replaced it"),
        ({"DAYS": "7", "HOURS": "24"}, 24, "BACKFILL_LOOKBACK_DAYS is not used: BACKFILL_LOOKBACK_HOURS is set"),
        ({"DAYS": "some"}, None, "BACKFILL_LOOKBACK_DAYS=some is not used: it is no whole number of days"),
    ],
)
def test_days_are_hours(given, hours, line, lines):
    environ = {f"BACKFILL_LOOKBACK_{unit}": value for unit, value in given.items()}
    assert load_settings(environ).lookback_hours == hours
    assert lines()[0].startswith(line)
    load_settings(environ)
    assert len(lines()) == 1, "once in a process"


def test_a_dictionary_of_settings_stops_nothing(lines):
    assert load_settings({"BACKFILL_CONFIG": "{}"}).symbols is None
    assert "docs/settings.md" in lines()[0]


def test_a_pair_as_ccxt_spells_it_is_the_perpetual():
    assert load_settings({"BACKFILL_SYMBOLS": "BTC/USDT,ETH/USDT:USDT,SOL-USDT"}).symbols == (
        "BTC-USDT", "ETH-USDT", "SOL-USDT",
    )  # fmt: skip


def test_a_universe_may_be_written_so_too(tmp_path):
    (tmp_path / "universe.yaml").write_text("instruments: [BTC/USDT]\ntimeframes: {1m: 7d}\n")
    assert load_universe(tmp_path / "universe.yaml").instruments == ("BTC-USDT",)


def test_the_database_of_older_systems_comes_last(lines):
    older = {"DATABASE_URL": "postgres://u:hunter2@h/old"}
    assert database_uri(None, older) == "postgresql://u:hunter2@h/old"
    assert lines() == ["the database is that of DATABASE_URL; BACKFILL_DB replaced it"]
    newer = {"AIRFLOW_CONN_CANDLES_DB": "postgresql://u@h/new"}
    assert "new" in database_uri(None, {**older, **newer})
    assert database_uri(None, {**older, **newer, "BACKFILL_DB": "postgresql://h/newest"}).endswith("newest")


def test_a_variable_beats_the_file_and_the_local_file_beats_the_common_one(tmp_path):
    (tmp_path / ".env").write_text("BACKFILL_BATCH_LIMIT=100\nBACKFILL_PROFILE=a\nexport BACKFILL_SETTLE_S = '2'\n")
    (tmp_path / ".env.local").write_text("\ufeffBACKFILL_PROFILE=b\nPOSTGRES_PASSWORD=x\nnot a setting\n")
    environ = {"BACKFILL_BATCH_LIMIT": "50"}
    adopt(read_env_files(environ, tmp_path), environ)
    assert environ == {"BACKFILL_BATCH_LIMIT": "50", "BACKFILL_PROFILE": "b", "BACKFILL_SETTLE_S": "2"}


def test_a_named_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(SettingsInvalid, match=r"nowhere\.env"):
        read_env_files({"BACKFILL_ENV_FILE": str(tmp_path / "nowhere.env")}, tmp_path)

"""What the command line refuses: each fault a clear sentence and an exit code, before anything is written."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.migrations import known_migrations, migrate
from integration.cli.conftest import Cli
from integration.exchange import PaperBlofin, run_log
from integration.helpers import contents, one, password_for

COMMANDS = ("migrate", "status", "gaps", "fill", "doctor")
HUSH = "hush-hush"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("fill --symbols DOGE-USDT", "unknown symbol 'DOGE-USDT': not in the universe"),
        ("fill --symbols BTCUSDT,ETH-USDT", "'BTCUSDT' is not an instrument's name; did you mean BTC-USDT?"),
        ("status --symbols btc-usdt", "unknown symbol 'btc-usdt'"),
        ("gaps --timeframes 7m", "unknown timeframe '7m'"),
        ("fill --timeframes 1M", "unknown timeframe '1M'"),
        ("fill --timeframes 1d", "unknown timeframe '1d'; known are 1m 1h"),
        ("fill --from 2026-01-02 --to 2026-01-02", "the start is not before the end"),
        ("fill --from 2026-01-02 --to 2026-01-01", "the start is not before the end"),
        ("gaps --from 2999-01-01", "the start is not before the end"),
        ("fill --from 2026-01-01 --to 2999-01-01", "it ends in the future"),
        ("fill --to 99999999999999", "it ends in the future"),
        ("fill --from yesterday", "'yesterday' is not a time"),
        ("fill --from 2026-02-30", "'2026-02-30' is not a time"),
        ("fill --symbols ,", "names nothing"),
        ("fill --sources nasdaq", "nasdaq"),
        ("fill --sideways", "unrecognized arguments"),
        ("sing", "invalid choice: 'sing'"),
        ("", "the following arguments are required"),
        ("fill --db nowhere", "--db: not a Postgres URI"),
        (f"fill --db postgresql://me:{HUSH}@more@h/db", "--db: an '@' in a user or password is written %40"),
        (f"fill --db postgresql://me:{HUSH}%@h/db", "--db: a '%' is written %25"),
    ],
)
def test_bad_usage_is_exit_code_2_and_changes_nothing(
    cli: Cli, store: CandleStore, live_exchange: PaperBlofin, arguments: str, told: str
) -> None:
    before = contents(store.connection)

    said = cli(*arguments.split())

    assert said.code == 2
    assert told in said.err
    assert HUSH not in said.err + said.out
    assert said.out == ""
    assert contents(store.connection) == before
    assert one(store.connection, "SELECT count(*) FROM backfill.instruments") == 0
    assert run_log(store, "id") == []
    assert live_exchange.requests.total == 0


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("BACKFILL_LOOKBACK_HOUR", "24", "did you mean BACKFILL_LOOKBACK_HOURS?"),
        ("BACKFILL_BATCH_LIMIT", "2000", "BACKFILL_BATCH_LIMIT=2000"),
        ("BACKFILL_SYMBOLS", "DOGE-USDT", "unknown symbol 'DOGE-USDT'"),
        ("BACKFILL_TIMEFRAMES", "7m", "unknown timeframe '7m'"),
        ("BACKFILL_UNIVERSE", "/nowhere/universe.yaml", "/nowhere/universe.yaml"),
        ("BACKFILL_PROFILE", "nightly", "there is no profile 'nightly'"),
        ("BACKFILL_BLOFIN_URL", "ftp://blofin", "BACKFILL_BLOFIN_URL"),
        ("AIRFLOW_CONN_BLOFIN_DEFAULT", "{not json", "AIRFLOW_CONN_BLOFIN_DEFAULT"),
    ],
)
def test_a_bad_setting_is_named_and_is_exit_code_2(
    cli: Cli,
    environment: pytest.MonkeyPatch,
    store: CandleStore,
    live_exchange: PaperBlofin,
    variable: str,
    value: str,
    told: str,
) -> None:
    environment.setenv(variable, value)

    said = cli("fill")

    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert one(store.connection, "SELECT count(*) FROM backfill.series") == 0
    assert live_exchange.requests.total == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("instruments: [BTC-USDT\n", "line"),
        ("instruments: [BTCUSDT]\ntimeframes: {1m: 7d}\n", "line 1: instruments[0]"),
        ("instruments: [BTC-USDT]\ntimeframes: {2m: 7d}\n", "line 2: timeframes.2m"),
        ("instruments: [BTC-USDT]\ntimeframes: {1m: 7 days}\n", "line 2: timeframes.1m"),
        ("instruments: [BTC-USDT]\ntimeframe: {1m: 7d}\n", "did you mean timeframes?"),
        ("instruments: [BTC-USDT]\ntimeframes: {1m: 7d}\nsources: [blowfin]\n", "unknown source 'blowfin'"),
        ("", "holds no keys"),
    ],
)
def test_a_malformed_universe_is_told_by_line_and_is_exit_code_2(
    cli: Cli, store: CandleStore, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "universe.yaml").write_text(text)

    for command in ("fill", "declare"):
        said = cli(command)
        assert (said.code, said.out) == (2, "")
        assert told in said.err
        assert "universe.yaml" in said.err
    assert one(store.connection, "SELECT count(*) FROM backfill.series") == 0


def test_no_database_at_all_says_how_to_name_one(cli: Cli, environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BACKFILL_DB")

    said = cli("status")

    assert said.code == 2
    assert "give --db URI, or set BACKFILL_DB or AIRFLOW_CONN_CANDLES_DB" in said.err


def test_the_database_of_airflows_connection_is_used(
    cli: Cli, environment: pytest.MonkeyPatch, database_uri: str, live_exchange: PaperBlofin
) -> None:
    environment.delenv("BACKFILL_DB")
    environment.delenv("BACKFILL_BLOFIN_URL")
    environment.setenv("AIRFLOW_CONN_CANDLES_DB", database_uri.replace("postgresql://", "postgres://"))
    environment.setenv("AIRFLOW_CONN_BLOFIN_DEFAULT", live_exchange.url.replace("http://", "blofin://http%3A%2F%2F"))

    assert cli("fill", "--timeframes", "1h").code == 0
    assert live_exchange.requests.total > 0


# -- databases that do not do --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unreachable_database_is_exit_code_1_without_the_password(cli: Cli, command: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    said = cli(command, "--db", f"postgresql://me:{HUSH}@127.0.0.1:{port}/candles")

    assert said.code == 1
    assert "Connection refused" in said.out + said.err
    assert f"me@127.0.0.1:{port}" in said.out + said.err
    assert HUSH not in said.out + said.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password_is_exit_code_1_and_is_not_repeated(
    cli: Cli, postgres_server: EmbeddedPostgres, database_uri: str, command: str
) -> None:
    with password_for(postgres_server, "keeper", "the right one"):
        said = cli(command, "--db", database_uri.replace("postgres@", f"keeper:{HUSH}@"))

    assert said.code == 1
    assert "password authentication failed" in said.out + said.err
    assert HUSH not in said.out + said.err


@pytest.mark.parametrize("command", ["status", "gaps", "fill", "doctor"])
def test_a_database_without_our_schema_is_exit_code_1_and_says_what_to_run(
    cli: Cli, environment: pytest.MonkeyPatch, empty_database_uri: str, live_exchange: PaperBlofin, command: str
) -> None:
    environment.setenv("BACKFILL_DB", empty_database_uri)

    said = cli(command)

    assert said.code == 1
    assert "backfill migrate" in said.out + said.err
    assert live_exchange.requests.total == 0
    with connect(empty_database_uri) as connection:
        assert one(connection, "SELECT to_regnamespace('backfill')") is None


def test_a_schema_that_is_too_old_or_too_new_is_exit_code_1_and_the_one_is_told_from_the_other(
    cli: Cli, environment: pytest.MonkeyPatch, empty_database_uri: str
) -> None:
    environment.setenv("BACKFILL_DB", empty_database_uri)
    with connect(empty_database_uri) as connection:
        migrate(connection, known_migrations()[:-1])
        old = cli("status")
        assert cli("migrate").code == 0
        connection.execute("INSERT INTO backfill.schema_migrations VALUES (900, '0900_later', 'x')")
        new = cli("status")
        refused = cli("migrate")

    assert (old.code, new.code, refused.code) == (1, 1, 1)
    assert "run `backfill migrate`" in old.err
    assert "upgrade the package" in new.err
    assert "upgrade the package" in refused.err


def test_an_exchange_that_is_offline_costs_no_stored_candle_and_is_exit_code_1(
    cli: Cli, environment: pytest.MonkeyPatch, store: CandleStore
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        environment.setenv("BACKFILL_BLOFIN_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")

    said = cli("fill", "--symbols", "BTC-USDT", "--timeframes", "1h")

    assert said.code == 1
    assert "Connection refused" in said.err
    assert run_log(store, "symbol, timeframe, status") == [("BTC-USDT", "1h", "failed")]

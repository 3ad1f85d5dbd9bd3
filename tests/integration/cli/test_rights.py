"""Roles with just the rights that their work needs, and what the doctor says of those that lack one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backfill.config.resources import schema_files
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.migrations import migrate
from integration.cli.conftest import Cli
from integration.cli.test_doctor import checks
from integration.helpers import one
from workers import WORKER, one_at_a_time

ROLES = (schema_files()[0].parents[1] / "roles.sql").read_text()
LOGIN = f"person_{WORKER}"


def name_of(uri: str) -> str:
    return uri.partition("?")[0].rpartition("/")[2]


def run_roles_file(server: EmbeddedPostgres, connection: psycopg.Connection[Any]) -> None:
    """As psql does. Roles belong to the whole server, which other workers use too."""
    with one_at_a_time(server.home / "roles.lock"):
        connection.execute(ROLES)


@pytest.fixture
def login(postgres_server: EmbeddedPostgres, database_uri: str) -> Iterator[str]:
    """The address of a login without any right, TEMP included."""
    name = name_of(database_uri)
    with psycopg.connect(database_uri, autocommit=True) as owner:
        run_roles_file(postgres_server, owner)
        owner.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; CREATE ROLE {LOGIN} LOGIN")
        owner.execute(f"GRANT CONNECT ON DATABASE {name} TO {LOGIN}")
        try:
            yield database_uri.replace("postgres@", f"{LOGIN}@")
        finally:
            owner.execute(f"DROP OWNED BY {LOGIN}; DROP ROLE {LOGIN}")


def owner_says(database_uri: str, sql: str) -> None:
    with psycopg.connect(database_uri, autocommit=True) as owner:
        owner.execute(sql)


@pytest.fixture
def as_writer(environment: pytest.MonkeyPatch, database_uri: str, login: str) -> str:
    owner_says(database_uri, f"GRANT candles_writer TO {LOGIN}")
    environment.setenv("BACKFILL_DB", login)
    return login


def corrections(tmp_path: Path, open_time: str) -> str:
    file = tmp_path / "corrections.csv"
    file.write_text(
        f"symbol,timeframe,open_time,open,high,low,close,volume,quote_volume\nBTC-USDT,1m,{open_time},10,20,5,15,1,15\n"
    )
    return str(file)


def newest_minute(cli: Cli) -> str:
    series = cli("status", "--json").document["series"]
    return str(next(one["newest_data"] for one in series if (one["symbol"], one["timeframe"]) == ("BTC-USDT", "1m")))


def test_a_writer_without_any_right_to_create_fills_months_that_have_no_partition_yet(
    cli: Cli, as_writer: str, store: CandleStore, tmp_path: Path
) -> None:
    (tmp_path / "universe.yaml").write_text("instruments: [BTC-USDT]\ntimeframes: {1h: 70d}\n")

    assert cli("fill").code == 0

    partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'backfill.candles'::regclass"
    assert one(store.connection, partitions) >= 4  # three months and the default
    assert one(store.connection, "SELECT count(*) FROM candles_default") == 0
    with psycopg.connect(as_writer) as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        writer.execute("CREATE TABLE backfill.mine ()")


def test_a_writer_does_all_that_changes_no_table(cli: Cli, as_writer: str, tmp_path: Path) -> None:
    assert cli("fill").code == 0
    file = corrections(tmp_path, newest_minute(cli))
    for command in (
        ("migrate",),
        ("migrate", "--check"),
        ("declare", "--yes"),
        ("fill", "--recheck"),
        ("validate",),
        ("correct", file, "--yes", "--reason", "a test"),
        ("prune",),
        ("doctor",),
    ):
        said = cli(*command)
        assert said.code in (0, 3), (command, said)
        assert "permission" not in said.out + said.err


def test_a_reader_does_all_that_reads(cli: Cli, environment: pytest.MonkeyPatch, login: str, database_uri: str) -> None:
    assert cli("fill").code == 0
    open_time = newest_minute(cli)
    owner_says(database_uri, f"GRANT candles_reader TO {LOGIN}")
    environment.setenv("BACKFILL_DB", login)
    for command in (
        ("status",),
        ("gaps",),
        ("fill", "--dry-run"),
        ("findings",),
        ("quarantine", "list"),
        ("explain", "BTC-USDT", "1m", open_time),
        ("migrate", "--check"),
        ("doctor",),
    ):
        said = cli(*command)
        assert said.code in (0, 3), (command, said)
    code, seen = checks(cli)
    assert (code, seen["rights"]["state"]) == (0, "warning")
    assert "DELETE ON backfill.absences" in seen["rights"]["detail"]
    refused = cli("fill")
    assert refused.code == 1
    assert "permission denied" in refused.err
    assert "roles.sql" in refused.err


def test_the_doctor_names_the_right_that_is_missing(cli: Cli, as_writer: str, database_uri: str) -> None:
    owner_says(
        database_uri,
        "REVOKE EXECUTE ON FUNCTION backfill.ensure_candle_partitions FROM candles_writer; "
        "REVOKE DELETE ON backfill.claims FROM candles_writer",
    )

    _, seen = checks(cli)

    assert seen["rights"]["state"] == "warning"
    assert "DELETE ON backfill.claims" in seen["rights"]["detail"]
    assert "EXECUTE ON FUNCTION backfill.ensure_candle_partitions" in seen["rights"]["detail"]
    assert "candles_writer" in seen["rights"]["advice"]


def test_a_role_that_owns_the_schema_migrates_without_rights_on_the_database(empty_database_uri: str) -> None:
    role, name = f"schema_owner_{WORKER}", name_of(empty_database_uri)
    with psycopg.connect(empty_database_uri, autocommit=True) as dba:
        dba.execute(f"CREATE ROLE {role} LOGIN; CREATE SCHEMA backfill AUTHORIZATION {role}")
        dba.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {role}")
        try:
            with connect(empty_database_uri.replace("postgres@", f"{role}@")) as session:
                assert migrate(session) != []
                assert migrate(session) == []
        finally:
            dba.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_the_roles_file_may_be_run_before_the_first_migration_and_again(
    postgres_server: EmbeddedPostgres, empty_database_uri: str
) -> None:
    with psycopg.connect(empty_database_uri, autocommit=True) as dba:
        for _ in range(2):
            run_roles_file(postgres_server, dba)
        dba.execute("SET ROLE candles_owner")
        assert one(dba, "SELECT has_schema_privilege('backfill', 'CREATE')")


def test_migrate_check_names_what_is_missing_and_writes_nothing(
    cli: Cli, environment: pytest.MonkeyPatch, empty_database_uri: str
) -> None:
    environment.setenv("BACKFILL_DB", empty_database_uri)

    said = cli("migrate", "--check", "--json")

    assert said.code == 3
    assert said.document["waiting"][0] == "0001_create_instruments_and_series"
    with connect(empty_database_uri) as session:
        assert one(session, "SELECT to_regnamespace('backfill') IS NULL")


@pytest.mark.parametrize(("limit", "state"), [(2, "failed"), (3, "warning"), (5, "warning"), (6, "ok")])
def test_the_doctor_counts_connections_against_what_a_run_needs(
    cli: Cli, as_writer: str, database_uri: str, limit: int, state: str
) -> None:
    owner_says(database_uri, f"ALTER ROLE {LOGIN} CONNECTION LIMIT {limit}")

    code, seen = checks(cli)

    assert (code == 1) == (state == "failed")
    assert seen["connections"]["state"] == state
    assert seen["connections"]["detail"] == f"{limit} more may be opened: a run works with 3, and uses up to 6"
    assert ("CONNECTION LIMIT" in seen["connections"]["advice"]) == (state != "ok")


@pytest.mark.parametrize(
    ("setting", "told"),
    [("statement_timeout = '7s'", "statement_timeout = 7s"), ("default_transaction_read_only = on", "read_only is on")],
)
def test_the_doctor_names_settings_that_end_our_work(
    cli: Cli, as_writer: str, database_uri: str, setting: str, told: str
) -> None:
    owner_says(database_uri, f"ALTER ROLE {LOGIN} SET {setting}")

    _, seen = checks(cli)

    assert seen["sessions"]["state"] == "warning"
    assert told in seen["sessions"]["detail"]

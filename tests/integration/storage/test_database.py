"""What goes wrong between us and Postgres, told in our words and without the password."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import psycopg
import pytest

from backfill.errors import DatabaseAccessDenied, DatabaseError, DatabaseUnreachable, SchemaMissing
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.database import connect, translated_errors, without_password
from integration.helpers import one, password_for

RIGHT = "s3cr3t-w0rd"


@pytest.fixture
def guarded(postgres_server: EmbeddedPostgres, database_uri: str) -> Iterator[Callable[[str], str]]:
    """The database's address for a role that needs a password, with the password that is given."""
    with password_for(postgres_server, "guarded", RIGHT):
        yield lambda password: database_uri.replace("postgres@", f"guarded:{password}@")


def test_a_connection_works_in_our_schema_and_in_utc(database_uri: str) -> None:
    with connect(database_uri) as connection:
        assert one(connection, "SHOW search_path") == "backfill,public"
        assert one(connection, "SELECT extract(timezone FROM now())") == 0
        assert connection.autocommit


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    with pytest.raises(DatabaseUnreachable, match="Connection refused") as raised:
        connect(f"postgresql://someone:{RIGHT}@127.0.0.1:{port}/candles")

    assert RIGHT not in str(raised.value)
    assert f"someone@127.0.0.1:{port}" in str(raised.value)


def test_a_database_that_does_not_exist_is_named(postgres_server: EmbeddedPostgres) -> None:
    with pytest.raises(DatabaseUnreachable, match='"nowhere" does not exist'):
        connect(postgres_server.uri("nowhere"))


def test_the_right_password_lets_in(guarded: Callable[[str], str]) -> None:
    with connect(guarded(RIGHT)) as connection:
        assert one(connection, "SELECT current_user") == "guarded"


def test_a_wrong_password_is_refused_access_and_not_repeated(guarded: Callable[[str], str]) -> None:
    with pytest.raises(DatabaseAccessDenied, match="password authentication failed") as raised:
        connect(guarded("wr0ng-w0rd"))

    assert "wr0ng-w0rd" not in str(raised.value)
    assert raised.value.__cause__ is None  # whose traceback would show the address
    assert raised.value.__suppress_context__


def test_no_password_at_all_is_refused_access(guarded: Callable[[str], str]) -> None:
    with pytest.raises(DatabaseAccessDenied, match="no password supplied"):
        connect(guarded("").replace(":@", "@"))


def test_a_role_that_does_not_exist_is_refused_access(database_uri: str) -> None:
    with pytest.raises(DatabaseAccessDenied, match='role "nobody_here" does not exist'):
        connect(database_uri.replace("postgres@", "nobody_here@"))


def test_a_role_that_may_not_use_the_database_is_refused_access(
    guarded: Callable[[str], str], database_uri: str
) -> None:
    with connect(database_uri) as connection:
        connection.execute(f"REVOKE CONNECT ON DATABASE {one(connection, 'SELECT current_database()')} FROM PUBLIC")

    with pytest.raises(DatabaseAccessDenied, match="permission denied for database"):
        connect(guarded(RIGHT))


def test_a_role_that_may_connect_but_not_read_is_refused_access(guarded: Callable[[str], str]) -> None:
    refused = pytest.raises(DatabaseAccessDenied, match="schema backfill")
    with connect(guarded(RIGHT)) as connection, refused, translated_errors():
        connection.execute("SELECT * FROM backfill.series")


def test_a_role_whose_connections_are_used_up_is_not_called_denied(
    guarded: Callable[[str], str], database_uri: str
) -> None:
    with connect(database_uri) as connection:
        connection.execute("ALTER ROLE guarded CONNECTION LIMIT 0")

    with pytest.raises(DatabaseUnreachable, match="too many connections"):
        connect(guarded(RIGHT))


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://u:hush@[::1/db",
        "host=x nonsense",
        "postgresql://u:5%hush@h/db",
        "postgresql://u@h/db?passwort=hush",
        "postgresql://u@h/db?hush",
    ],
)
def test_an_address_that_libpq_cannot_read_is_shown_without_its_password(uri: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="not a Postgres address") as raised:
        connect(uri)

    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:hush@host:5432/db?sslmode=require", "postgresql://me@host:5432/db?sslmode=require"),
        ("postgresql://me:hush@/db?host=%2Ftmp%2Fsocket", "postgresql://me@/db?host=%2Ftmp%2Fsocket"),
        ("postgresql://me@host/db?password=hush&sslmode=require", "postgresql://me@host/db?sslmode=require"),
        ("postgresql://me@host/db?sslpassword=hush", "postgresql://me@host/db"),
        (
            "postgresql://me@host/db?passwort=hush&sslmode=require",
            "postgresql://me@host/db?passwort=...&sslmode=require",
        ),
        ("postgresql://me:hush@one:1,two:2/db", "postgresql://me@one:1,two:2/db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("host=h user=me password=hush dbname=db", "user=me dbname=db host=h"),
        ("host=h password='hush hush' dbname=db", "dbname=db host=h"),
        ("host=h password = hush", "host=h"),
    ],
)
def test_an_address_is_shown_without_its_password(uri: str, shown: str) -> None:
    assert without_password(uri) == shown


def test_a_server_that_ends_our_connection_in_a_transaction_went_away(database_uri: str) -> None:
    with connect(database_uri) as ours, connect(database_uri) as other:

        def lose_it() -> None:
            with translated_errors(), ours.transaction():
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (ours.info.backend_pid,))
                ours.execute("SELECT 1")

        with pytest.raises(DatabaseUnreachable, match="went away"):
            lose_it()


@pytest.mark.parametrize(
    ("setting", "statement", "told"),
    [
        ("statement_timeout = 10", "SELECT pg_sleep(5)", "canceling statement due to statement timeout"),
        ("lock_timeout = 10", "SELECT * FROM backfill.series FOR UPDATE", "canceling statement due to lock timeout"),
        ("work_mem = 64", "SELECT 1 / 0", "division by zero"),
    ],
)
def test_a_statement_that_failed_is_not_called_a_server_that_went_away(
    database_uri: str, setting: str, statement: str, told: str
) -> None:
    with connect(database_uri) as other, other.transaction(), connect(database_uri) as ours:
        other.execute("LOCK TABLE backfill.series")
        ours.execute(f"SET {setting}")
        with pytest.raises(DatabaseError, match=told) as raised, translated_errors():
            ours.execute(statement)

    assert type(raised.value) is DatabaseError


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM candles", "SELECT backfill.epoch_ms(now())", "SET ROLE nobody_here"]
)
def test_tables_that_are_not_there_say_what_to_run(empty_database_uri: str, statement: str) -> None:
    expected = DatabaseError if "ROLE" in statement else SchemaMissing
    with connect(empty_database_uri) as connection, pytest.raises(expected) as raised, translated_errors():
        connection.execute(statement)
    assert isinstance(raised.value.__cause__, psycopg.Error)
    assert ("backfill migrate" in str(raised.value)) == (expected is SchemaMissing)

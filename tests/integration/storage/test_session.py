"""Sessions that depend on no default of the server, outlive its restarts, and try again what may pass."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime, timezone

import psycopg
import pytest

from backfill.errors import DatabaseError
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.database import connect, translated_errors
from integration.helpers import one, password_for

NOON = datetime(2026, 3, 4, 12, tzinfo=timezone.utc)


def database_of(uri: str) -> str:
    return uri.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def spoiled(database_uri: str, request: pytest.FixtureRequest) -> str:
    """A database whose owner has set ``request.param`` for all of its sessions."""
    with psycopg.connect(database_uri, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database_of(database_uri)} SET {request.param}")
    return database_uri


@pytest.mark.parametrize(
    "spoiled",
    [
        "datestyle = 'SQL, DMY'",
        "datestyle = 'German'",
        "timezone = 'America/St_Johns'",
        "search_path = pg_catalog",
        "intervalstyle = 'sql_standard'",
        "client_encoding = 'LATIN1'",
        "extra_float_digits = -5",
        "default_transaction_isolation = 'serializable'",
    ],
    indirect=True,
)
def test_settings_of_the_database_change_nothing_for_us(spoiled: str) -> None:
    with connect(spoiled) as session:
        assert one(session, "SELECT %s::timestamptz", (NOON,)) == NOON
        assert one(session, "SELECT '2026-03-04 12:00:00'::timestamptz") == NOON
        assert one(session, "SELECT 0.1::float8 + 0.2") == 0.1 + 0.2
        assert one(session, "SELECT '币安人生-USDT'") == "币安人生-USDT"
        assert one(session, "SELECT interval '-1 day 2 hours'").total_seconds() == -22 * 3600
        assert one(session, "SHOW transaction_isolation") == "read committed"
        assert one(session, "SELECT count(*) FROM series") == 0


def test_the_environment_changes_nothing_for_us(database_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGTZ", "Asia/Kolkata")

    with connect(database_uri) as session:
        assert one(session, "SELECT '2026-03-04 12:00:00'::timestamptz") == NOON


def test_the_address_may_have_options_of_its_own(database_uri: str) -> None:
    with connect(f"{database_uri}&options=-c%20statement_timeout%3D7s") as session:
        assert one(session, "SHOW statement_timeout") == "7s"
        assert one(session, "SHOW search_path") == "backfill,public"


@pytest.mark.parametrize("spoiled", ["idle_session_timeout = '300ms'"], indirect=True)
def test_a_timeout_for_idle_sessions_does_not_end_one_that_waits_for_an_exchange(spoiled: str) -> None:
    with connect(spoiled) as session:
        threading.Event().wait(0.8)
        assert one(session, "SELECT 1") == 1
        assert session.opens == 1


def test_a_database_of_another_encoding_is_refused_in_a_sentence(postgres_server: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_server.uri("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE in_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        try:
            with pytest.raises(DatabaseError, match=r"encoding is LATIN1.*ENCODING 'UTF8'"):
                connect(postgres_server.uri("in_latin"))
        finally:
            connection.execute("DROP DATABASE in_latin WITH (FORCE)")


@pytest.mark.parametrize("spoiled", ["datestyle = 'German'"], indirect=True)
def test_a_connection_that_was_closed_while_it_waited_is_opened_again(spoiled: str) -> None:
    with connect(spoiled) as ours, connect(spoiled) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (ours.info.backend_pid,))

        assert one(ours, "SELECT '2026-03-04 12:00:00'::timestamptz") == NOON
        assert ours.opens == 2
        with ours.transaction():
            assert one(ours, "SELECT 1") == 1


def test_a_closed_session_stays_closed(database_uri: str) -> None:
    session = connect(database_uri)
    session.close()

    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")


def test_a_statement_is_never_repeated_outside_the_transaction_that_it_belonged_to(database_uri: str) -> None:
    with connect(database_uri) as ours, connect(database_uri) as other:

        def lose_it_and_go_on() -> None:
            with ours.transaction():
                ours.execute("INSERT INTO sources (name) VALUES ('first')")
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (ours.info.backend_pid,))
                with suppress(psycopg.OperationalError):
                    ours.execute("INSERT INTO sources (name) VALUES ('second')")
                ours.execute("INSERT INTO sources (name) VALUES ('third')")

        with pytest.raises(psycopg.OperationalError):
            lose_it_and_go_on()

        assert one(ours, "SELECT count(*) FROM sources WHERE name IN ('first', 'second', 'third')") == 0


@pytest.mark.parametrize("fault", ["40001", "40P01", "55P03", "57014"])
def test_a_transaction_is_repeated_after_a_fault_that_passes(database_uri: str, fault: str) -> None:
    tries = 0
    with connect(database_uri) as session:

        def work() -> None:
            nonlocal tries
            tries += 1
            with session.transaction():
                session.execute("INSERT INTO sources (name) VALUES ('once')")
                if tries == 1:
                    session.execute(f"DO $$ BEGIN RAISE EXCEPTION 'passing' USING ERRCODE = '{fault}'; END $$")

        session.repeated(work)

        assert one(session, "SELECT count(*) FROM sources WHERE name = 'once'") == 1
    assert tries == 2


@pytest.mark.parametrize(("fault", "tries"), [("40001", 3), ("23514", 1), ("53100", 1)])
def test_tries_are_bounded_and_other_faults_are_not_repeated(database_uri: str, fault: str, tries: int) -> None:
    made = 0
    with connect(database_uri) as session:

        def work() -> None:
            nonlocal made
            made += 1
            with session.transaction():
                session.execute(f"DO $$ BEGIN RAISE EXCEPTION 'once more' USING ERRCODE = '{fault}'; END $$")

        with pytest.raises(psycopg.Error, match="once more"):
            session.repeated(work)
    assert made == tries


@pytest.mark.parametrize(
    ("fault", "cure"),
    [("57014", "statement_timeout"), ("53100", "free space"), ("25006", "standby"), ("55P03", "lock_timeout")],
)
def test_a_fault_that_stays_is_named_with_its_cure(database_uri: str, fault: str, cure: str) -> None:
    with connect(database_uri) as session, pytest.raises(DatabaseError, match=cure), translated_errors():
        session.execute(f"DO $$ BEGIN RAISE EXCEPTION 'stays' USING ERRCODE = '{fault}'; END $$")


def test_a_place_that_becomes_free_is_waited_for(postgres_server: EmbeddedPostgres, database_uri: str) -> None:
    with password_for(postgres_server, "narrow", "word"), connect(database_uri) as owner:
        owner.execute("ALTER ROLE narrow CONNECTION LIMIT 1")
        address = database_uri.replace("postgres@", "narrow:word@")
        first = connect(address)
        threading.Timer(0.5, first.close).start()
        with connect(address) as second:
            assert one(second, "SELECT current_user") == "narrow"


@pytest.mark.parametrize("parameter", ["pgbouncer=true", "schema=public", "connection_limit=5"])
def test_parameters_of_other_programs_in_an_address_are_understood(database_uri: str, parameter: str) -> None:
    with connect(f"{database_uri}&{parameter}") as session:
        assert session.pooled == (parameter == "pgbouncer=true")
        assert one(session, "SELECT count(*) FROM series") == 0


def test_behind_a_pooler_nothing_is_left_in_the_server_session(database_uri: str) -> None:
    with connect(f"{database_uri}&pgbouncer=true") as session:
        for _ in range(10):
            assert one(session, "SHOW search_path").replace(" ", "") == "backfill,public"
            with session.cursor() as cursor:
                assert cursor.execute("SELECT count(*) FROM series").fetchall() == [(0,)]
        with session.transaction():
            assert one(session, "SELECT count(*) FROM pg_prepared_statements") == 0
        assert session._raw.execute("SHOW search_path").fetchone() == ('"$user", public',)

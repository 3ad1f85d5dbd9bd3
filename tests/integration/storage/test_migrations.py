"""The schema on a real Postgres: applied once, by whoever comes first, and refused when it is not ours."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from backfill.errors import DatabaseError, SchemaMissing, SchemaTooNew, SchemaTooOld
from backfill.storage.database import connect
from backfill.storage.migrations import Migration, known_migrations, migrate, require_current_schema
from integration.helpers import one, rows


def _migrate_at(uri: str) -> list[str]:
    with connect(uri) as connection:
        return migrate(connection)


LOGGED = "SELECT version, name, sha256, applied_at FROM backfill.schema_migrations ORDER BY version"


def test_the_second_run_applies_nothing(empty_database_uri: str) -> None:
    with connect(empty_database_uri) as connection:
        first = migrate(connection)
        logged = rows(connection, LOGGED)

        assert migrate(connection) == []

        assert first == [m.name for m in known_migrations()]
        assert [(version, name, sha256) for version, name, sha256, _ in logged] == [
            (m.version, m.name, m.sha256) for m in known_migrations()
        ]
        assert rows(
            connection, "SELECT version, name, sha256, applied_at FROM backfill.schema_migrations ORDER BY 1"
        ) == (logged)
        require_current_schema(connection)


def test_processes_that_start_at_once_apply_each_file_once(empty_database_uri: str) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("forkserver")) as processes:
        applied = list(processes.map(_migrate_at, [empty_database_uri] * 4))

    assert sorted(applied, key=len) == [[], [], [], [m.name for m in known_migrations()]]


def test_a_file_that_fails_leaves_nothing_of_those_before_it(empty_database_uri: str) -> None:
    broken = [Migration(1, "0001_fine", "CREATE TABLE fine ()"), Migration(2, "0002_broken", "CREATE TABLE fine ()")]
    with connect(empty_database_uri) as connection:
        with pytest.raises(DatabaseError, match="fine"):
            migrate(connection, broken)

        assert one(connection, "SELECT to_regnamespace('backfill')") is None
        assert migrate(connection) != []


def test_a_longer_schema_is_continued_where_it_ended(database_uri: str) -> None:
    known = known_migrations()
    added = Migration(len(known) + 1, "9999_add", "CREATE TABLE added ()")
    with connect(database_uri) as connection:
        assert migrate(connection, [*known, added]) == ["9999_add"]
        assert one(connection, "SELECT to_regclass('backfill.added') IS NOT NULL")


def test_a_schema_of_a_later_package_is_refused_and_left_alone(database_uri: str) -> None:
    with connect(database_uri) as connection:
        connection.execute("INSERT INTO backfill.schema_migrations VALUES (900, '0900_later', 'x')")

        with pytest.raises(SchemaTooNew, match="version 900"):
            migrate(connection)
        with pytest.raises(SchemaTooNew, match="upgrade the package"):
            require_current_schema(connection)


def test_an_applied_file_that_was_edited_is_named(database_uri: str) -> None:
    edited = known_migrations()
    edited[2] = edited[2]._replace(sql=edited[2].sql + "\n-- a second thought")
    with connect(database_uri) as connection, pytest.raises(DatabaseError, match=edited[2].name):
        migrate(connection, edited)


def test_a_database_without_our_schema_says_what_to_run(empty_database_uri: str) -> None:
    with connect(empty_database_uri) as connection:
        with pytest.raises(SchemaMissing, match="backfill migrate"):
            require_current_schema(connection)
        connection.execute("CREATE SCHEMA backfill")
        with pytest.raises(SchemaMissing, match="backfill migrate"):
            require_current_schema(connection)


def test_a_schema_that_lacks_a_file_is_too_old_and_names_it(empty_database_uri: str) -> None:
    known = known_migrations()
    with connect(empty_database_uri) as connection:
        migrate(connection, known[:-1])

        with pytest.raises(SchemaTooOld, match=known[-1].name):
            require_current_schema(connection)

        assert migrate(connection) == [known[-1].name]
        require_current_schema(connection)


def test_a_number_given_twice_is_an_error_before_anything_is_applied(tmp_path: Path) -> None:
    for name in ("0001_a.sql", "0003_b.sql", "0003_c.sql"):
        (tmp_path / name).write_text("SELECT 1")

    with pytest.raises(DatabaseError, match="0003_c"):
        known_migrations(sorted(tmp_path.glob("*.sql")))

"""Numbered schema files, applied once each and in order (docs/decisions/0004-own-migrations.md)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from backfill.config.resources import schema_files
from backfill.errors import DatabaseError, SchemaMissing, SchemaTooNew, SchemaTooOld
from backfill.storage.database import Connection, fetch_one, translated_errors

# Advisory lock: "bfil" in ASCII.
MIGRATION_LOCK = 0x6266_696C

_CREATE_LOG = """
CREATE TABLE backfill.schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


class Migration(NamedTuple):
    """``version``: from the file's name."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known_migrations(files: list[Path] | None = None) -> list[Migration]:
    """The schema files, numbered 1, 2, 3, ... without a gap."""
    migrations = [
        Migration(int(file.name.split("_")[0]), file.stem, file.read_text(encoding="utf-8"))
        for file in (schema_files() if files is None else files)
    ]
    if [m.version for m in migrations] != list(range(1, len(migrations) + 1)):
        raise DatabaseError(f"schema files are not numbered 1, 2, 3, ...: {[m.name for m in migrations]}")
    return migrations


def migrate(connection: Connection, migrations: list[Migration] | None = None) -> list[str]:
    """Bring the schema up to date; return the names of the applied files.

    In one transaction under an advisory lock: concurrent calls apply each file once, a killed one leaves nothing.
    Raises :class:`SchemaTooNew`, and :class:`DatabaseError` if an applied file was edited.
    """
    migrations = known_migrations() if migrations is None else migrations
    applied: list[str] = []
    with translated_errors(), connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        if not fetch_one(connection, "SELECT to_regnamespace('backfill') IS NOT NULL")[0]:
            connection.execute("CREATE SCHEMA backfill")  # IF NOT EXISTS would need the right to create one
        if not _has_log(connection):
            connection.execute(_CREATE_LOG)
        connection.execute("SELECT set_config('search_path', 'backfill', true)")
        done = _applied_versions(connection)
        _refuse_newer(done, migrations)
        for migration in migrations:
            if migration.version in done:
                _refuse_edited(migration, done[migration.version])
                continue
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.sha256),
            )
            applied.append(migration.name)
    return applied


def require_current_schema(connection: Connection) -> None:
    """Raise :class:`SchemaMissing`, ``SchemaTooOld`` or ``SchemaTooNew`` unless the schema is current."""
    with translated_errors():
        if not _has_log(connection):
            raise SchemaMissing("the database has no `backfill` schema: run `backfill migrate`")
    if waiting := waiting_migrations(connection):
        raise SchemaTooOld(f"the schema lacks {', '.join(waiting)}: run `backfill migrate`")


def waiting_migrations(connection: Connection) -> list[str]:
    """The files that :func:`migrate` would apply; writes nothing. Raises :class:`SchemaTooNew`."""
    migrations = known_migrations()
    with translated_errors():
        done = _applied_versions(connection) if _has_log(connection) else {}
    _refuse_newer(done, migrations)
    return [m.name for m in migrations if m.version not in done]


def _has_log(connection: Connection) -> bool:
    return bool(fetch_one(connection, "SELECT to_regclass('backfill.schema_migrations') IS NOT NULL")[0])


def _applied_versions(connection: Connection) -> dict[int, str]:
    rows = connection.execute("SELECT version, sha256 FROM backfill.schema_migrations").fetchall()
    return {int(version): str(sha256) for version, sha256 in rows}


def _refuse_newer(done: dict[int, str], migrations: list[Migration]) -> None:
    newest, known = max(done, default=0), max((m.version for m in migrations), default=0)
    if newest > known:
        raise SchemaTooNew(f"the schema is at version {newest}, this package knows {known}: upgrade the package")


def _refuse_edited(migration: Migration, sha256: str) -> None:
    if sha256 != migration.sha256:
        raise DatabaseError(f"{migration.name} was applied with another text: put changes into a new file")

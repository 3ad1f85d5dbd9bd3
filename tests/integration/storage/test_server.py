"""What the database says of its server."""

from __future__ import annotations

import time

import psycopg
import pytest

from backfill.errors import DatabaseUnreachable
from backfill.storage.server import accepts_connections, ensure_database, has_table, server_facts


def test_the_server_reports_its_version_and_its_clock(database_uri: str) -> None:
    facts = server_facts(database_uri)
    assert facts.major >= 15
    assert abs(facts.epoch_s - time.time()) < 5


def test_a_table_is_found_in_its_schema_only(database_uri: str) -> None:
    assert has_table(database_uri, "backfill.series")
    assert not has_table(database_uri, "public.series")


def test_a_database_is_created_once(database_uri: str) -> None:
    name = "made twice"
    try:
        ensure_database(database_uri, name)
        ensure_database(database_uri, name)
        with psycopg.connect(database_uri, dbname=name) as connection:
            assert connection.info.dbname == name
    finally:
        with psycopg.connect(database_uri, autocommit=True) as connection:
            connection.execute('DROP DATABASE IF EXISTS "made twice"')


def test_a_server_that_is_not_there_accepts_nothing(database_uri: str) -> None:
    nowhere = "postgresql://postgres@/candles?host=/nonexistent"
    assert accepts_connections(database_uri)
    assert not accepts_connections(nowhere)
    with pytest.raises(DatabaseUnreachable):
        server_facts(nowhere)

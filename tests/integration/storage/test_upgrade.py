"""Databases of earlier versions, and dumps: with our package of today they are whole, and work goes on."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.migrations import known_migrations, migrate, require_current_schema, waiting_migrations
from integration.exchange import PaperBlofin, fill
from integration.helpers import one, window_of
from integration.storage.dumps import KEPT, dumped, live_a_little, restore, worth_keeping


@pytest.mark.parametrize("kept", sorted(KEPT.glob("*.sql.gz")), ids=lambda kept: kept.name[:4])
def test_a_database_of_an_earlier_version_is_upgraded_with_its_data_and_filled_on(
    empty_database_uri: str, exchange: PaperBlofin, kept: Path
) -> None:
    restore(empty_database_uri, gzip.decompress(kept.read_bytes()).decode())
    before = worth_keeping(empty_database_uri)
    later = [migration.name for migration in known_migrations()[int(kept.name[:4]) :]]
    with connect(empty_database_uri) as session:
        assert waiting_migrations(session) == later
        assert migrate(session) == later
        require_current_schema(session)

    assert all(before.values())
    assert worth_keeping(empty_database_uri) == before
    with CandleStore(connect(empty_database_uri)) as store:
        report = fill(store, exchange, window_of(store, "BTC-USDT", "1m"))
    # Three had been deleted, of which another source gave one again; two had been refused.
    assert (report.rows_inserted, report.rows_revised, report.missing_after) == (4, 1, 0)


def test_a_dump_restored_elsewhere_has_the_same_rows_and_a_true_ledger(
    postgres_server: EmbeddedPostgres, database_uri: str, empty_database_uri: str, exchange: PaperBlofin
) -> None:
    with CandleStore(connect(database_uri)) as store:
        live_a_little(store, exchange)

    restore(empty_database_uri, dumped(postgres_server, database_uri))

    assert worth_keeping(empty_database_uri) == worth_keeping(database_uri)
    with connect(empty_database_uri) as session:
        require_current_schema(session)
        assert one(session, "SELECT count(*) FROM backfill.candles_default") == 0

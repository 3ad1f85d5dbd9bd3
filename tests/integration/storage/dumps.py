"""Dumps of our schema as pg_dump writes them; each released version's is kept in ``schema_dumps``.

python tests/integration/storage/dumps.py    # at a release: keep one of the schema as it is now
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import psycopg

from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.local.postgres_programs import PostgresPrograms
from backfill.paper.coins import LIQUID_COINS
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import connect
from backfill.storage.migrations import known_migrations, migrate
from integration.exchange import PaperBlofin, fill, punch
from integration.helpers import HOUR_MS, MINUTE_MS, assert_held_is_true, candles, store_bars, wanted_series

KEPT = Path(__file__).parent / "schema_dumps"
# What a person would miss, by how it is read; `held` is checked besides.
WORTH_KEEPING = {
    "candles": "SELECT series_id, open_time, open, high, low, close, volume, quote_volume, source_id FROM candles",
    "runs": "SELECT id, series_id, status, rows_inserted, missing_after, finished_at FROM gap_fill_runs",
    "absences": "SELECT series_id, source_id, grade FROM absences",
    "quarantine": "SELECT id, series_id, open_time, status FROM quarantine",
    "series": "SELECT id, instrument_id, timeframe, wanted, history_ms, held::text FROM series",
}
# psql's own commands, and a setting that servers before PostgreSQL 17 do not know.
_NOT_SQL = ("\\", "SET transaction_timeout", "--")


def dumped(server: EmbeddedPostgres, uri: str) -> str:
    """`pg_dump -n backfill`, as SQL that any client can send."""
    programs = PostgresPrograms.find(server.major, server.account, copies=server._base / "programs")
    how = ("--schema=backfill", "--no-owner", "--no-privileges", "--rows-per-insert=200", f"--dbname={uri}")
    said = subprocess.run([programs.folder / "pg_dump", *how], capture_output=True, text=True, check=True)
    return "".join(f"{line}\n" for line in said.stdout.splitlines() if line and not line.startswith(_NOT_SQL))


def restore(uri: str, dump: str) -> None:
    """Into an empty database."""
    with psycopg.connect(uri) as connection:
        connection.execute(dump)  # type: ignore[call-overload]


def worth_keeping(uri: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each table above, and that the ledger is true."""
    with psycopg.connect(uri) as connection:
        assert_held_is_true(connection)
        connection.execute("SET search_path TO backfill")
        return {name: sorted(connection.execute(sql).fetchall(), key=repr) for name, sql in WORTH_KEEPING.items()}


def live_a_little(store: CandleStore, exchange: PaperBlofin) -> None:
    """Candles, a stand-in, gaps, quarantine, and the log of it."""
    minutes = wanted_series(store, history_ms=2 * HOUR_MS, sources=("blofin", "okx"))
    hours = wanted_series(store, "ETH-USDT", "1h", history_ms=24 * HOUR_MS)
    broken = [minutes.start_ms + n * MINUTE_MS for n in (30, 31)]
    exchange.faults.on("high_below_low", timeframe="1m", opens_ms=broken)
    for window in (minutes, hours):
        fill(store, exchange, window)
    exchange.faults.off()
    punch(store, minutes, [minutes.start_ms + n * MINUTE_MS for n in (60, 61, 62)])
    store_bars(store, minutes, candles([minutes.start_ms + 60 * MINUTE_MS]), source="okx")


def main() -> int:
    """Write the dump of the newest version."""
    newest = known_migrations()[-1].version
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder) / "pg", durable=False)
        server.start()
        try:
            server.ensure_database("kept")
            with connect(server.uri("kept")) as session:
                migrate(session)
            market = SyntheticMarket(coins=LIQUID_COINS[:2])
            with CandleStore(connect(server.uri("kept"))) as store, PaperBlofin(market) as exchange:
                live_a_little(store, exchange)
            KEPT.mkdir(exist_ok=True)
            packed = gzip.compress(dumped(server, server.uri("kept")).encode(), mtime=0)
            (KEPT / f"{newest:04d}.sql.gz").write_bytes(packed)
        finally:
            server.remove()
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())

"""``backfill export`` and ``backfill segments``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from backfill.storage.candle_store import CandleStore
from integration.cli.conftest import Cli
from integration.helpers import DAY_MS, HOUR_MS, NOW_MS, candles, store_bars, wanted_series

TODAY_MS = NOW_MS - NOW_MS % DAY_MS


@pytest.fixture
def two_days(store: CandleStore) -> None:
    series = wanted_series(store, timeframe="1h", history_ms=3 * DAY_MS)
    store.connection.execute("UPDATE backfill.series SET until = to_timestamp(%s)", (TODAY_MS / 1000,))
    store_bars(store, series, candles(range(TODAY_MS - 2 * DAY_MS, TODAY_MS, HOUR_MS)))


def test_export_claim_done_verify(cli: Cli, two_days: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    dry = cli("export", str(out), "--dry-run", "--json")
    assert (dry.code, dry.document["segments"], out.exists()) == (0, 2, False)

    exported = cli("export", str(out), "--json")
    assert (exported.code, exported.document["segments"], exported.document["rows"]) == (0, 2, 48)

    claimed = cli("segments", "claim", "--consumer", "trainer", "--json").document["segments"]
    path = Path(claimed[0]["path"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == claimed[0]["sha256"]
    assert cli("segments", "done", str(claimed[0]["id"]), "--consumer", "other").code == 2
    assert cli("segments", "done", str(claimed[0]["id"]), "--consumer", "trainer", "--delete").code == 0
    assert not path.exists()
    listed = cli("segments", "list", "--json").document["segments"]
    assert [row["status"] for row in listed] == ["downloaded", "deleted"]
    verified = cli("segments", "verify", "--json")
    assert (verified.code, verified.document["verified"]) == (0, 1)

    Path(listed[0]["path"]).write_text("x")
    changed = cli("segments", "verify", "--symbols", "BTC/USDT")
    assert changed.code == 1
    assert "SHA-256 is another" in changed.out


def test_a_part_left_out_is_exit_code_3(cli: Cli, store: CandleStore, two_days: None, tmp_path: Path) -> None:
    store.connection.execute(
        "DELETE FROM backfill.candles WHERE open_time = to_timestamp(%s)", ((TODAY_MS - 30 * HOUR_MS) / 1000,)
    )
    exported = cli("export", str(tmp_path / "out"))
    assert exported.code == 3
    assert "1 bars are missing" in exported.err
    assert "1 segments of 24 candles written" in exported.out


def test_parquet_without_its_library_is_refused_before_anything_is_written(
    cli: Cli, two_days: None, tmp_path: Path
) -> None:
    pytest.importorskip("pandas")
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        said = cli("export", str(tmp_path / "out"), "--format", "parquet")
        assert (said.code, "pip install pyarrow" in said.err) == (2, True)
        assert cli("segments", "list", "--json").document["segments"] == []
    else:
        assert cli("export", str(tmp_path / "out"), "--format", "parquet").code == 0


def test_import_names_what_it_refuses_and_keeps_the_rest(cli: Cli, store: CandleStore, tmp_path: Path) -> None:
    wanted_series(store, timeframe="1h", history_ms=3 * DAY_MS)
    rows = "".join(f"{open_ms},1,2,0.5,1.5,10\n" for open_ms in range(TODAY_MS - DAY_MS, TODAY_MS, HOUR_MS))
    (tmp_path / "binance__BTC-USDT-PERP__1h.csv").write_text(rows)
    assert cli("import", str(tmp_path)).code == 0

    (tmp_path / "BTCUSDT-1h-2026-03-01.zip").write_text("cut")
    (tmp_path / "notes.txt").write_text("not a file of candles")
    said = cli("import", str(tmp_path), "--json")
    assert (said.code, said.document["files"], said.document["inserted"]) == (1, 1, 0)
    assert "BTCUSDT-1h-2026-03-01.zip: it cannot be unpacked" in said.document["refused_files"][0]
    assert cli("import", str(tmp_path / "nowhere")).code == 2

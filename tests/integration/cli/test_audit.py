"""``backfill audit``: a table for people, a document for programs, an exit code for scripts."""

from __future__ import annotations

from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from integration.cli.conftest import Cli
from integration.helpers import HOUR_MS, NOON_MS, candles, one, opens, store_bars, wanted_series


def tamper(store: CandleStore) -> None:
    window = wanted_series(store, history_ms=400 * 24 * HOUR_MS)
    store_bars(store, window, candles(opens(NOON_MS - HOUR_MS, NOON_MS)))
    store.connection.execute("UPDATE series SET held = '{}'")


def test_nothing_to_find_is_said_so_and_exits_with_0(cli: Cli, store: CandleStore) -> None:
    said = cli("audit")
    assert said.code == 0
    assert said.out.startswith("0 mended, 0 remain")


def test_findings_are_a_table_and_exit_with_3_until_they_are_mended(cli: Cli, store: CandleStore) -> None:
    tamper(store)

    seen = cli("audit")
    assert seen.code == 3
    assert "held_drift" in seen.out
    assert "60 bars stored and not held" in seen.out

    mended = cli("audit", "--repair")
    assert (mended.code, mended.err) == (0, "")
    assert "0 remain" in mended.out
    assert cli("audit").code == 0


def test_the_document_tells_the_same(cli: Cli, store: CandleStore) -> None:
    tamper(store)
    said = cli("audit", "--json", "--symbols", "BTC-USDT")
    assert said.code == 3
    assert said.document["remaining"] == 2
    assert said.document["findings"][0] | {"detail": None} == {
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "kind": "held_drift",
        "verdict": "drift",
        "status": "open",
        "mended": False,
        "start_time": "2026-03-10T11:00:00+00:00",
        "end_time": "2026-03-10T12:00:00+00:00",
        "says": "60 bars stored and not held",
        "detail": None,
    }
    cli("audit", "--repair")


def test_an_unknown_symbol_and_a_database_without_the_schema_are_refused(
    cli: Cli, store: CandleStore, empty_database_uri: str
) -> None:
    assert cli("audit", "--symbols", "NOPE-USDT").code == 2
    refused = cli("audit", "--db", empty_database_uri)
    assert refused.code == 1
    assert "run `backfill migrate`" in refused.err


def test_what_the_audit_has_moved_a_person_may_release_and_then_it_stays(cli: Cli, store: CandleStore) -> None:
    tamper(store)
    store.connection.execute("UPDATE candles SET high = 99.9 WHERE open_time = %s", (utc(NOON_MS - HOUR_MS),))
    assert cli("audit", "--repair").code == 0
    moved, status = one(store.connection, "SELECT id FROM quarantine"), "SELECT status FROM quarantine"
    assert one(store.connection, "SELECT count(*) FROM candles") == 59

    said = cli("quarantine", "release", str(moved), "--reason", "the exchange says so too")
    assert said.code == 0, said.err

    assert one(store.connection, status) == "released"
    assert one(store.connection, "SELECT count(*) FROM candles") == 60
    assert cli("audit", "--repair").code == 0
    assert one(store.connection, "SELECT count(*) FROM candles") == 60

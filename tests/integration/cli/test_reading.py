"""What only reads works with a read-only login, changes nothing, and does not look at the universe file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from backfill.storage.candle_store import CandleStore
from backfill.storage.series import Selection
from integration.cli.conftest import Cli
from integration.exchange import PaperBlofin, bars_of, punch
from integration.helpers import rows

READER = "keeper_reader"
WANTED = "SELECT count(*) FROM backfill.series WHERE wanted"
BAR = "2020-01-01T00:00Z"
READS = [
    ("status", "--json"),
    ("gaps", "--json"),
    ("explain", "BTC-USDT", "1h", BAR, "--json"),
    ("findings", "--json"),
    ("quarantine", "list", "--json"),
    ("fill", "--dry-run", "--json"),
    ("fill", "--dry-run", "--recheck", "--sources", "blofin"),
    ("doctor", "--json"),
]


def dump(store: CandleStore) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of the schema."""
    tables = rows(store.connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'backfill' ORDER BY 1")
    return {name: rows(store.connection, f"SELECT t::text FROM backfill.{name} AS t ORDER BY 1") for (name,) in tables}


@pytest.fixture
def filled(cli: Cli, store: CandleStore) -> CandleStore:
    """Everything filled, but for a hole."""
    assert cli("fill").code == 0
    (window,) = store.windows(Selection(store.now(), symbols=["ETH-USDT"], timeframes=["1h"]))
    punch(store, window, bars_of(window)[50:55])
    return store


@pytest.fixture
def reader_uri(filled: CandleStore, database_uri: str) -> Iterator[str]:
    """The address of a role that may only SELECT, whose transactions are read-only: a standby is no other."""
    with psycopg.connect(database_uri, autocommit=True) as owner:
        owner.execute(f"DROP ROLE IF EXISTS {READER}")
        owner.execute(f"CREATE ROLE {READER} LOGIN")
        owner.execute(f"GRANT USAGE ON SCHEMA backfill TO {READER}")
        owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA backfill TO {READER}")
        owner.execute(f"ALTER ROLE {READER} SET default_transaction_read_only = on")
        parts = urlsplit(database_uri)
        yield urlunsplit(parts._replace(netloc=f"{READER}@{parts.netloc.rpartition('@')[2]}"))
        owner.execute(f"DROP OWNED BY {READER}")
        owner.execute(f"DROP ROLE {READER}")


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_a_read_only_login_reads_everything_and_changes_nothing(
    cli: Cli, filled: CandleStore, reader_uri: str, environment: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    before = dump(filled)
    environment.setenv("BACKFILL_DB", reader_uri)

    said = cli(*words)

    assert said.err == ""
    assert said.code == (3 if words[0] in ("status", "gaps", "fill", "explain") else 0)
    assert dump(filled) == before


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_the_owner_too_changes_nothing_by_reading_with_another_universe_in_hand(
    cli: Cli, filled: CandleStore, tmp_path: Path, words: tuple[str, ...]
) -> None:
    before = dump(filled)
    (tmp_path / "universe.yaml").write_text("instruments: [SOL-USDT]\ntimeframes: {1m: 1d}\n")

    cli(*words)

    assert dump(filled) == before


def test_a_fill_with_fewer_series_drops_none_and_says_so(
    cli: Cli, filled: CandleStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "universe.yaml").write_text("instruments: [BTC-USDT]\ntimeframes: {1h: 2d}\n")

    assert cli("fill").code == 0

    assert rows(filled.connection, WANTED) == [(4,)]
    assert "3 series that Postgres wants are not in the universe" in caplog.text
    assert "backfill declare" in caplog.text


def test_declare_shows_the_difference_and_drops_few_without_a_question(
    cli: Cli, filled: CandleStore, tmp_path: Path
) -> None:
    (tmp_path / "universe.yaml").write_text("instruments: [BTC-USDT, SOL-USDT]\ntimeframes: {1m: 1h, 1h: 2d}\n")
    tried = cli("declare", "--dry-run", "--json")
    assert rows(filled.connection, WANTED) == [(4,)]
    done = cli("declare", "--json")

    assert tried.document == done.document
    counted = {name: done.document[name] for name in ("series", "added", "changed", "dropped")}
    assert counted == {"series": 4, "added": 2, "changed": 2, "dropped": 2}
    assert {(row["change"], row["symbol"]) for row in done.document["changes"]} == {
        ("added", "SOL-USDT"), ("changed", "BTC-USDT"), ("dropped", "ETH-USDT"),
    }  # fmt: skip
    again = cli("declare")
    assert (again.code, again.out) == (0, "4 series, 0 added, 0 changed, 0 dropped\n")


def test_declare_drops_many_only_where_that_is_said(cli: Cli, filled: CandleStore, tmp_path: Path) -> None:
    (tmp_path / "universe.yaml").write_text("instruments: [SOL-USDT]\ntimeframes: {1h: 2d}\n")

    refused = cli("declare")
    assert (refused.code, rows(filled.connection, WANTED)) == (2, [(4,)])
    assert "4 series would be dropped: say --yes if that is meant" in refused.err
    assert cli("declare", "--yes").code == 0

    assert rows(filled.connection, WANTED) == [(1,)]
    assert rows(filled.connection, "SELECT count(*) > 0 FROM backfill.candles") == [(True,)], "candles stay"


def test_a_setting_lets_every_fill_follow_the_file(
    cli: Cli, filled: CandleStore, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    (tmp_path / "universe.yaml").write_text("instruments: [BTC-USDT]\ntimeframes: {1h: 2d}\n")
    environment.setenv("BACKFILL_DROP_SERIES", "true")

    assert cli("fill").code == 0

    assert rows(filled.connection, WANTED) == [(1,)]


def test_a_symbol_outside_the_universe_is_refused_with_the_way_to_add_it(cli: Cli, live_exchange: PaperBlofin) -> None:
    said = cli("fill", "--symbols", "SOL-USDT")

    assert said.code == 2
    assert "'SOL-USDT'" in said.err
    assert "add it to `instruments` of" in said.err
    assert "universe.yaml" in said.err
    assert live_exchange.requests.total == 0

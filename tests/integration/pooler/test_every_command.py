"""Each command of the command line, once, behind a pgbouncer in transaction mode."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.cli.arguments import parser
from backfill.storage.candle_store import CandleStore
from backfill.storage.findings import FindingsLog
from integration.cli.conftest import Cli, cli, environment, live_exchange
from integration.cli.test_findings import found
from integration.cli.test_quarantine import blofin_row, put
from integration.cli.test_rename import OLD_FROM_MS, OLD_UNTIL_MS, RENAMED_MS, Names, walk
from integration.helpers import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, last_full_hour, one, window_of
from integration.pooler.conftest import leftovers

pytestmark = pytest.mark.long

__all__ = ["cli", "environment", "live_exchange"]

# They start a stack, or a program of its environment.
HAVE_NO_DATABASE = {("demo",), ("up",), ("env",)}
# In this order; words in braces are the test's.
CALLS: tuple[tuple[str, int], ...] = (
    ("migrate", 0),
    ("declare --yes", 0),
    ("fill --from {start} --to {end}", 0),
    ("status", 3),  # what is older is not filled
    ("gaps", 3),
    ("fill --dry-run", 3),
    ("validate --from {start} --to {end}", 0),
    ("explain BTC-USDT 1m {start}", 0),
    ("condition BTC-USDT 1m", 3),
    ("correct {corrections} --dry-run --reason test", 0),
    ("correct {corrections} --yes --reason test", 0),
    ("quarantine list", 0),
    ("quarantine discard {wrong}", 0),
    ("quarantine release {right} --reason test", 0),
    ("findings", 0),
    ("findings dismiss {finding} --reason test", 0),
    ("rename MATIC-USDT POL-USDT --yes", 0),
    ("export {folder} --symbols BTC-USDT --timeframes 1h --doubtful", 3),  # days that are not whole
    ("segments list", 0),
    ("segments claim --consumer trainer", 0),
    ("segments release {segment}", 0),
    ("segments claim --consumer trainer", 0),
    ("segments done {segment} --consumer trainer", 0),
    ("segments verify", 0),
    ("import {folder} --dry-run", 0),
    ("import {folder}", 0),
    ("audit", 3),  # months that the renamed series lack a partition for
    ("prune", 0),
    ("doctor", 0),
)


def leaves(of: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, and every action of those that have some."""
    actions = [action for action in of._actions if isinstance(action, argparse._SubParsersAction)]
    if path and not any(action.required for action in actions):
        yield path
    for action in actions:
        for name, below in action.choices.items():
            yield from leaves(below, (*path, name))


def test_every_command_works_behind_a_pooler_and_leaves_nothing_behind(
    cli: Cli,
    environment: pytest.MonkeyPatch,
    store: CandleStore,
    pooled_uri: str,
    database_uri: str,
    tmp_path: Path,
) -> None:
    called = {leaf for leaf in leaves(parser()) for call, _ in CALLS if tuple(call.split()[: len(leaf)]) == leaf}
    assert called | HAVE_NO_DATABASE == set(leaves(parser())), "a call of each new command belongs into CALLS"
    (tmp_path / "universe.yaml").write_text("instruments: [BTC-USDT, ETH-USDT]\ntimeframes: {1m: 7d, 1h: 7d}\n")
    environment.setenv("BACKFILL_DB", pooled_uri)
    end_ms = round(1000 * last_full_hour(store).timestamp()) // DAY_MS * DAY_MS
    start_ms = end_ms - 36 * HOUR_MS
    corrections = tmp_path / "corrections.csv"
    corrections.write_text(
        f"symbol,timeframe,open_time,open,high,low,close,volume,quote_volume\nBTC-USDT,1h,{start_ms},10,20,5,15,1,15\n"
    )
    words = {
        "start": str(start_ms),
        "end": str(end_ms),
        "corrections": str(corrections),
        "folder": str(tmp_path / "files"),
    }
    for call, code in CALLS:
        if call.startswith("quarantine list"):
            btc = window_of(store, "BTC-USDT", "1m")
            words["finding"] = str(FindingsLog(store.connection).record([found("a", btc.series_id)])[0])
            words["wrong"] = str(put(store, btc, blofin_row(start_ms - MINUTE_MS), open_ms=start_ms - MINUTE_MS))
            mended = blofin_row(start_ms - 2 * MINUTE_MS, h="102")
            words["right"] = str(put(store, btc, mended, open_ms=start_ms - 2 * MINUTE_MS))
        if call.startswith("rename"):
            names = Names(store)
            names.keep(names.old, walk(OLD_FROM_MS, OLD_UNTIL_MS))
            names.keep(names.new, walk(RENAMED_MS, NOON_MS))
        said = cli(*call.format_map(words).split())
        assert said.code == code, (call, said)
        assert "Traceback" not in said.err
        if call.startswith("export"):
            words["segment"] = str(one(store.connection, "SELECT min(id) FROM backfill.segments"))
    assert one(store.connection, "SELECT count(*) FROM revisions WHERE reason = 'manual'") >= 1
    assert leftovers(database_uri) == []

"""What `backfill status` says beside the coverage of each series."""

from __future__ import annotations

from pathlib import Path

from integration.cli.conftest import Cli
from integration.exchange import PaperBlofin

BARS = 2 * (720 + 168)


def test_what_is_left_and_how_long_that_takes_is_told_once_something_ran(cli: Cli) -> None:
    cli("declare")
    before = cli("status", "--json").document["progress"]
    assert (before["candles_left"], before["requests_left"]) == (BARS, 4)
    assert (before["candles_per_hour"], before["hours_left"]) == (None, None)
    assert f"{BARS:,} candles are missing, about 4 requests; no run of the last 24 hours" in cli("status").out

    cli("fill", "--symbols", "BTC-USDT")

    after = cli("status", "--json").document["progress"]
    assert BARS // 2 <= after["candles_left"] <= BARS // 2 + 4  # a bar may have closed meanwhile
    assert after["candles_per_hour"] > 0
    assert after["hours_left"] > 0
    assert "the last run closed" in cli("status").out


def test_what_bars_are_made_of_is_no_source_that_could_be_well(
    cli: Cli, live_exchange: PaperBlofin, tmp_path: Path
) -> None:
    (tmp_path / "universe.yaml").write_text("instruments: [BTC-USDT]\ntimeframes: {1h: 7d, 4h: 7d}\n")
    assert cli("fill", "--json").document["rows_inserted"] > 168

    assert [source["source"] for source in cli("status", "--json").document["sources"]] == ["blofin"]

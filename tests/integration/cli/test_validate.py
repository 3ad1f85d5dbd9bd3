"""`backfill validate`: the words, the document and the exit codes of a validation by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backfill.storage.database import connect
from integration.cli.conftest import Cli
from integration.exchange import PaperBlofin

LOSE_AN_HOUR = (
    "DELETE FROM backfill.candles USING backfill.series AS s, backfill.instruments AS i "
    "WHERE series_id = s.id AND s.instrument_id = i.id AND i.symbol = 'BTC-USDT' AND s.timeframe = '1m' "
    "AND open_time BETWEEN now() - interval '4 hours' AND now() - interval '3 hours'"
)


@pytest.fixture
def filled(cli: Cli, database_uri: str, tmp_path: Path) -> Iterator[psycopg.Connection[Any]]:
    """Two symbols of minutes and hours from their primary source, which is their only source."""
    universe = tmp_path / "universe.yaml"
    universe.write_text(universe.read_text() + "sources: [blofin]\n")
    assert cli("fill").code == 0
    with connect(database_uri) as connection:
        yield connection


def test_what_is_whole_is_well(cli: Cli, filled: object) -> None:
    said = cli("validate")

    assert said.code == 0
    assert "all is well; no other source could be asked about" in said.out
    assert said.err.count("all is well") == 0
    assert said.err.count("% held") == 4, "a line for each series"


def test_problems_are_told_and_remain_until_they_are_mended(cli: Cli, filled: psycopg.Connection[Any]) -> None:
    filled.execute(LOSE_AN_HOUR)

    said = cli("validate")
    assert said.code == 3
    assert "1 of 4 series have problems" in said.out
    assert "the worst gaps" in said.err

    cli("fill")
    assert cli("validate").code == 0


def test_the_document_has_a_report_for_each_series(cli: Cli, filled: psycopg.Connection[Any]) -> None:
    filled.execute(LOSE_AN_HOUR)

    said = cli("validate", "--symbols", "BTC-USDT", "--timeframes", "1m", "--json")

    (series,) = said.document["series"]
    assert (said.code, said.document["problems"]) == (3, 1)
    assert (series["symbol"], series["timeframe"], series["open_findings"]) == ("BTC-USDT", "1m", {})
    assert series["missing"] >= 60
    assert series["coverage_pct"] < series["objective_pct"] == 99.9


def test_a_thorough_validation_asks_the_primary_for_coarser_bars(
    cli: Cli, filled: object, live_exchange: PaperBlofin
) -> None:
    live_exchange.asked.clear()
    cli("validate", "--symbols", "BTC-USDT", "--timeframes", "1h")
    assert live_exchange.asked == []

    said = cli("validate", "--symbols", "BTC-USDT", "--timeframes", "1h", "--thorough")

    assert said.code == 0
    assert {question.bar for question in live_exchange.asked} == {"4H"}


def test_it_keeps_to_its_window(cli: Cli, filled: psycopg.Connection[Any]) -> None:
    filled.execute(LOSE_AN_HOUR)
    two_hours_ago = datetime.now(timezone.utc) - timedelta(hours=2)

    assert cli("validate", "--from", two_hours_ago.isoformat()).code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--sources", "bitfinexx"], "--sources: unknown source 'bitfinexx'"),
        (["--symbols", "NOPE-USDT"], "unknown symbol 'NOPE-USDT'"),
    ],
)
def test_what_it_cannot_do_as_asked_is_refused_before_anything_is_checked(
    cli: Cli, words: list[str], told: str, database_uri: str
) -> None:
    said = cli("validate", *words)

    assert said.code in (1, 2)
    assert told in said.err
    with connect(database_uri) as connection:
        assert connection.execute("SELECT count(*) FROM backfill.gap_fill_runs").fetchone() == (0,)


def test_the_document_can_be_filed(cli: Cli, filled: psycopg.Connection[Any], tmp_path: Path) -> None:
    filled.execute(LOSE_AN_HOUR)
    universe = tmp_path / "universe.yaml"
    universe.write_text(universe.read_text() + "validation: {max_gap_minutes: 30, tolerance_pct: 0.5}\n")

    document = cli("validate", "--symbols", "BTC-USDT", "--json").document

    assert (document["document"], document["verdict"], document["problems"]) == ("validation", "problems", 1)
    assert datetime.fromisoformat(document["made_at"]).tzinfo is not None
    configuration = document["configuration"]
    assert (configuration["tolerance_pct"], configuration["max_gap_minutes"], configuration["enabled"]) == (
        0.5,
        30,
        True,
    )
    assert (document["not_validated"], document["totals"]["series"]) == ([], 2)
    minutes, hours = document["series"]
    assert (minutes["timeframe"], hours["timeframe"], minutes["sources"]) == ("1m", "1h", ["blofin"])
    (gap,) = [one for one in minutes["gaps"] if one["bars"] >= 60]
    assert gap["severity"] == "major"
    assert (hours["gaps"], hours["unusable_days"], hours["findings"], hours["leaving_reach"]) == ([], [], [], [])
    assert minutes["window"]["start"] < gap["start"] < gap["end"] < minutes["window"]["end"]
    assert {day["condition"] for day in minutes["unusable_days"]} == {"pending"}
    assert sum(document["totals"]["conditions"].values()) == sum(
        count for one in document["series"] for count in one["conditions"].values()
    )

"""docs/architecture.md tells the truth: its files are there, and its layers are those that import-linter holds."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "docs/architecture.md").read_text()


def test_the_tour_leads_through_files_that_exist_and_fewer_than_25() -> None:
    stations = re.findall(r"^\| \d+ \| `([^`]+)`", TEXT, re.MULTILINE)
    assert 10 < len(stations) < 25
    assert [station for station in stations if not (PROJECT / station).is_file()] == []


def test_the_layers_are_those_of_the_contract() -> None:
    (block,) = re.findall(r"```\n(cli .*?)```", TEXT, re.DOTALL)
    told = [re.split(r"\s{2,}", line)[0] for line in block.splitlines()]
    contract = (PROJECT / "pyproject.toml").read_text().partition('name = "imports run one way"')[2].partition("]")[0]
    assert told == [layer.replace("backfill.", "") for layer in re.findall(r'^    "(.+)",$', contract, re.MULTILINE)]

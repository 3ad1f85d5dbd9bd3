"""The documentation's pages: all are in the navigation, and what they show of the code is complete."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from backfill.cli.main import COMMANDS
from backfill.domain.venues import VENUES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "scripts" / "reference_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_navigation_names_every_page_but_single_decisions() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    named = {page for one in navigation for page in one.values()}
    pages = {str(file.relative_to(DOCS)) for file in DOCS.rglob("*.md")}
    assert named == {page for page in pages if not page.startswith("decisions/0")}


def test_every_reference_of_a_page_is_made_and_every_one_made_is_used(reference: ModuleType) -> None:
    used = {name for file in DOCS.rglob("*.md") for name in reference.MARK.findall(file.read_text())}
    assert used == set(reference.REFERENCES)


def test_every_command_with_its_options_is_described(reference: ModuleType) -> None:
    text = reference.commands()
    assert all(f"### `backfill {command}`" in text for command in COMMANDS)
    assert "#### `backfill quarantine release`" in text
    assert "| `--sleep-ms MS` | least time between two requests to one source |" in text


def test_every_source_is_described_with_its_limits(reference: ModuleType) -> None:
    text = reference.on_page_markdown("<!-- reference: sources -->")
    assert all(f"| `{source}` |" in text for source in VENUES)
    assert "500 requests in 60 s; 1,500 requests in 300 s" in text


def test_the_decisions_are_listed_by_their_titles(reference: ModuleType) -> None:
    lines = reference.decisions().splitlines()
    assert len(lines) == len(list((DOCS / "decisions").glob("0*.md")))
    assert "- [1. " in lines[0]


def test_a_reference_that_no_one_makes_stops_the_build(reference: ModuleType) -> None:
    with pytest.raises(KeyError, match="tabels"):
        reference.on_page_markdown("<!-- reference: tabels -->")

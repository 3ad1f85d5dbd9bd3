"""The bill of materials says what the lock says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
SBOM = runpy.run_path(str(REQUIREMENTS / "sbom.py"))
LOCK = """# a comment
ccxt==4.5.90 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via airflow-provider-candle-keeper (pyproject.toml)
Tomli_w==1.2.0 ; python_full_version < '3.11' \\
    --hash=sha256:cc
    # via
    #   ccxt
"""


def test_each_package_is_named_with_its_files_marker_and_who_needs_it() -> None:
    made = SBOM["document"](LOCK, "0.1.0")
    ccxt, tomli = made["components"]
    assert (ccxt["purl"], tomli["purl"]) == ("pkg:pypi/ccxt@4.5.90", "pkg:pypi/tomli-w@1.2.0")
    assert [one["value"] for one in ccxt["properties"]] == ["aa", "bb"]
    assert [one["value"] for one in tomli["properties"]] == ["cc", "python_full_version < '3.11'"]
    assert [one["dependsOn"] for one in made["dependencies"]] == [[ccxt["purl"]], [tomli["purl"]], []]


@pytest.mark.parametrize("lock", sorted(file.name for file in REQUIREMENTS.glob("*.lock")))
def test_every_line_of_a_lock_is_understood_and_two_documents_are_equal(lock: str) -> None:
    text = (REQUIREMENTS / lock).read_text()
    made = SBOM["document"](text, "0.1.0")
    assert made == SBOM["document"](text, "0.1.0")
    assert len(made["components"]) == sum("==" in line and not line.startswith("#") for line in text.splitlines())
    assert all(one["properties"] for one in made["components"])


def test_a_line_that_is_no_package_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2 is no pinned package: git"):
        SBOM["packages_of"]("ccxt==4.5.90\ngit+ssh://somewhere/else\n")


def test_the_reviewed_list_names_every_package_that_we_ask_for_and_no_other() -> None:
    root = REQUIREMENTS.parent
    asked_for = (root / "pyproject.toml").read_text().split("[dependency-groups]")[0].split("\ndependencies")[1]
    listed = (root / "docs" / "threat_model.md").read_text().split("## What we depend on")[1]
    names = re.findall(r'^    "([\w-]+)', asked_for, re.MULTILINE)
    assert sorted(re.findall(r"^\| ([\w-]+) \|", listed, re.MULTILINE)) == sorted([*names, "package"])

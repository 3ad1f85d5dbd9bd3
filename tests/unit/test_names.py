"""One name, one meaning: a class name is defined once in the package, and the domain knows nothing of the rest."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import backfill

PACKAGE = Path(backfill.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def parsed(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def test_no_class_name_is_defined_twice() -> None:
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(str(module.relative_to(PACKAGE)))
    assert {name: found for name, found in modules.items() if len(found) > 1} == {}


def test_the_domain_imports_nothing_of_the_package_but_errors() -> None:
    foreign = [
        f"{module.name}: {name}"
        for module in sorted((PACKAGE / "domain").glob("*.py"))
        for node in ast.walk(parsed(module))
        for name in imported(node)
        if name.startswith("backfill") and not name.startswith(("backfill.domain.", "backfill.errors"))
    ]
    assert foreign == []


def imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{one.name}" if node.module in ("backfill", "backfill.domain") else str(node.module)
                for one in node.names]  # fmt: skip
    return []


def test_only_blofins_own_row_and_operator_branch_on_its_name() -> None:
    """Every source is the same kind of thing: what differs is a row of the venue table."""
    branches = [
        f"{module.relative_to(PACKAGE)}:{node.lineno}"
        for module in MODULES
        if module.relative_to(PACKAGE).parts[0] != "paper"
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        if (isinstance(side, ast.Constant) and side.value == "blofin")
        or (isinstance(side, ast.Name) and side.id == "BLOFIN")
    ]
    # Which client speaks to a source is a column of the table, and Blofin's is called like it.
    assert sorted({branch.split(":")[0] for branch in branches}) == [
        "jobs/by_hand/quarantined_candle.py",
        "sources/runtime.py",
    ]


def test_benchmarks_and_tests_share_no_module_name() -> None:
    """A benchmark that plays cases of the tests has both folders on its path; one would hide the other."""
    root = Path(__file__).parents[2]
    benchmarks, tests = ({path.stem for path in (root / folder).iterdir()} for folder in ("benchmarks", "tests"))
    assert benchmarks & tests - {"README", "__pycache__"} == set()

"""Only ``storage`` executes SQL: everything else calls its methods."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import backfill

PACKAGE = Path(backfill.__file__).parent
MODULES = sorted(
    path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if not path.is_relative_to(PACKAGE / "storage")
)
# What executes a statement, or gives what can.
ATTRIBUTES = {"connection", "_connection", "cursor", "execute", "executemany", "translated_errors", "fetch_one"}
IMPORTS = {"psycopg", "psycopg2", "backfill.storage.named_queries"}
NAMES = {"translated_errors", "fetch_one"}


def sql_in(source: str) -> Iterator[str]:
    """Each use of the database driver, of a named query or of a connection, with its line."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from (f"{line}: import {one.name}" for one in node.names if _is_forbidden(one.name))
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if _is_forbidden(module):
                yield f"{line}: from {module}"
            yield from (f"{line}: {one.name}" for one in node.names if one.name in NAMES)
            if not _is_forbidden(module):
                yield from (f"{line}: {one.name}" for one in node.names if _is_forbidden(f"{module}.{one.name}"))
        elif isinstance(node, ast.Constant) and node.value in ("connection", "_connection", *IMPORTS):
            yield f"{line}: {node.value!r} as text"
        elif isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES and not _is_super(node.value):
            yield f"{line}: .{node.attr}"


def _is_forbidden(module: str) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in IMPORTS)


def _is_super(node: ast.expr) -> bool:
    """Whether it is ``super()``: an operator's ``execute`` is Airflow's, not a statement."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_sql_is_executed_outside_storage(module: Path) -> None:
    assert list(sql_in((PACKAGE / module).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import psycopg",
        "from psycopg.rows import dict_row",
        "from backfill.storage.named_queries import query",
        "from backfill.storage.database import connect, translated_errors",
        "rows = store.connection",
        "with opened.cursor() as cursor: pass",
        "opened.execute('SELECT 1')",
    ],
)
def test_every_way_to_sql_is_seen(source: str) -> None:
    assert len(list(sql_in(source))) == 1


def test_an_operator_may_call_its_base() -> None:
    assert list(sql_in("super().execute(context)")) == []

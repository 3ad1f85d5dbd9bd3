"""SQL by subject and name, one query per file."""

from __future__ import annotations

from functools import cache

from backfill.config.resources import query_file


@cache
def query(name: str) -> str:
    """The text of ``include/sql/queries/<subject>/<name>.sql``; values are bound, never formatted in."""
    return query_file(name).read_text(encoding="utf-8")

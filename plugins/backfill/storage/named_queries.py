"""Queries by subject and name: one file, one query, kept beside the schema under ``include/sql/queries``."""

from __future__ import annotations

from functools import cache

from backfill.config.resources import query_file


@cache
def query(name: str) -> str:
    """The text of ``include/sql/queries/<subject>/<name>.sql``; values are always bound, never formatted in."""
    return query_file(name).read_text(encoding="utf-8")

"""Queries by name: one file, one query, kept beside the schema under ``include/sql/queries``."""

from __future__ import annotations

from functools import cache
from typing import LiteralString, cast

from backfill.resources import query_file


@cache
def query(name: str) -> LiteralString:
    """The text of ``include/sql/queries/<name>.sql``; values are always bound, never formatted in."""
    return cast("LiteralString", query_file(name).read_text(encoding="utf-8"))

"""Links from a task instance to the pages of its series and gaps."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

PAGES = "backfill/#/"


class SeriesPageLink(BaseOperatorLink):
    """To the overview of the instance's symbols."""

    name = "Series"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return _page(f"?search={_symbol(operator)}")


class GapsPageLink(BaseOperatorLink):
    """To the gaps of the instance's symbols."""

    name = "Gaps"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return _page(f"gaps?search={_symbol(operator)}")


def _page(of: str) -> str:
    base = str(conf.get("api", "base_url", fallback="/") or "/")
    return f"{base.rstrip('/')}/{PAGES}{of}"


def _symbol(operator: Any) -> str:
    """One instrument; empty for several, which a filter cannot name."""
    symbol = str(getattr(operator, "symbol", None) or "")
    return "" if "," in symbol else quote(symbol)

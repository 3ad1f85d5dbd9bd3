"""Sources outside the table of venues: this package's registered ones, and other packages'.

Another package registers one by an entry point of the group ``backfill.sources``, named for the source. Names are known
without an import; the source is imported when first needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from backfill.errors import ConfigurationError

GROUP = "backfill.sources"
# As entry points, which a copied tree lacks.
BUILT_IN: Mapping[str, str] = {
    "polygon": "backfill.exchanges.polygon:SOURCE",
    "oanda": "backfill.exchanges.oanda:SOURCE",
    "alphavantage": "backfill.exchanges.alphavantage:SOURCE",
    "yfinance": "backfill.exchanges.yahoo:SOURCE",
    "coingecko": "backfill.exchanges.coingecko:SOURCE",
}


@cache
def registered_names() -> tuple[str, ...]:
    """All registered sources, ours first."""
    return (*BUILT_IN, *sorted(name for name in _of_others() if name not in BUILT_IN))


def is_registered(source: object) -> bool:
    """Whether an entry point names the source."""
    return source in registered_names()


@cache
def registered_source(source: str) -> Any:
    """What the entry point names, imported once."""
    found = [EntryPoint(source, BUILT_IN[source], GROUP)] if source in BUILT_IN else _of_others()[source]
    if len(found) > 1:
        named = ", ".join(sorted(entry.value for entry in found))
        raise ConfigurationError(f"source {source!r}: several packages register it ({named}); uninstall all but one")
    try:
        return found[0].load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"source {source!r}: {found[0].value} cannot be imported: {error}") from error


@cache
def _of_others() -> dict[str, list[EntryPoint]]:
    """Entry points by name; one found twice on the path counts once."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        if re.fullmatch(r"[a-z][a-z0-9_]{0,60}", entry.name):
            found.setdefault(entry.name, {})[entry.value] = entry
    return {name: list(by_value.values()) for name, by_value in found.items()}


def forget_registered() -> None:
    """Look for entry points again after an installation."""
    registered_names.cache_clear()
    registered_source.cache_clear()
    _of_others.cache_clear()

"""Valid sources: those in our table, registered ones, and ccxt's other exchanges."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from backfill.domain.price_kinds import TRADE, PriceKind
from backfill.domain.registered_sources import is_registered, registered_names
from backfill.domain.venues import VENUES
from backfill.errors import ConfigurationError

SOURCES = tuple(VENUES)
SPOT_ONLY_SOURCES = tuple(name for name, known in VENUES.items() if not known.perpetuals)


def is_source(name: object) -> bool:
    """Whether ``name`` is a source; those outside SOURCES are asked with great caution."""
    if not isinstance(name, str):
        return False
    return (
        name in SOURCES
        or is_registered(name)
        or (re.fullmatch(r"[a-z][a-z0-9]+", name) is not None and _ccxt_has(name))
    )


def has_kind(name: str, kind: PriceKind) -> bool:
    """Whether a source has prices of ``kind``."""
    return kind == TRADE or (name in VENUES and VENUES[name].has_kind(kind))


def why_no_source(name: object) -> str:
    """Error text for an unknown source, with the likely one."""
    known = (*SOURCES, *registered_names())
    close = difflib.get_close_matches(str(name), known, n=1)
    advice = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}, and ccxt's other exchanges"
    return f"unknown source {name!r}; {advice}"


def check_sources(said_as: str, names: Sequence[str] | None) -> None:
    """Raise :class:`ConfigurationError` for unknown sources given as ``said_as``."""
    if unknown := [name for name in names or () if not is_source(name)]:
        raise ConfigurationError("; ".join(f"{said_as}: {why_no_source(name)}" for name in unknown))


@cache
def _ccxt_has(name: str) -> bool:
    """Look for the exchange's file: importing ccxt takes seconds."""
    ccxt = find_spec("ccxt")
    folders = (ccxt and ccxt.submodule_search_locations) or ()
    return any((Path(folder) / f"{name}.py").exists() for folder in folders)


def is_stored_source(name: str) -> bool:
    """Whether it is spelled like a stored source: an exchange, ``manual``, or what candles were derived from."""
    return re.fullmatch(r"[a-z][a-z0-9_:]{0,60}", name) is not None

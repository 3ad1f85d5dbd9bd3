"""The names that a source may have: those we know ways and limits of, and any other exchange that ccxt has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from backfill.domain.venues import VENUES
from backfill.errors import ConfigurationError

SOURCES = tuple(VENUES)
SPOT_ONLY_SOURCES = tuple(name for name, known in VENUES.items() if not known.perpetuals)


def is_source(name: object) -> bool:
    """Whether a source may be called so. An exchange of ccxt's that is not in SOURCES is asked with great caution."""
    return name in SOURCES or (
        isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9]+", name) is not None and _ccxt_has(name)
    )


def why_no_source(name: object) -> str:
    """What to say of a name that is none, with the one that was probably meant."""
    close = difflib.get_close_matches(str(name), SOURCES, n=1)
    advice = f"did you mean {close[0]}?" if close else f"known are {', '.join(SOURCES)}, and ccxt's other exchanges"
    return f"unknown source {name!r}; {advice}"


def check_sources(said_as: str, names: Sequence[str] | None) -> None:
    """Raises :class:`ConfigurationError`, which names what is no source and where it was said (``--sources``)."""
    if unknown := [name for name in names or () if not is_source(name)]:
        raise ConfigurationError("; ".join(f"{said_as}: {why_no_source(name)}" for name in unknown))


@cache
def _ccxt_has(name: str) -> bool:
    """ccxt keeps a file for each exchange: to look for it takes microseconds, to import ccxt takes seconds."""
    ccxt = find_spec("ccxt")
    folders = (ccxt and ccxt.submodule_search_locations) or ()
    return any((Path(folder) / f"{name}.py").exists() for folder in folders)

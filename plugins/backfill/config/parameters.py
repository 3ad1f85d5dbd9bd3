"""Names and times typed into a trigger form or command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from difflib import get_close_matches

from backfill.errors import ConfigurationError

# How templates render a missing parameter.
UNSET = ("", "None")
# Epoch ms have at least 12 digits since 1973. Years, dates and epoch seconds, as ms, would mean January 1970.
FEWEST_MS_DIGITS = 12
# What Airflow's own lineage writes into a run's conf.
FOREIGN_NAMES = frozenset({"openlineage"})


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise :class:`ConfigurationError` for names that no form has: if ignored, the whole universe would run."""
    names = sorted(known)
    wrong = [name for name in given if name not in names and name not in FOREIGN_NAMES]
    if wrong:
        close = [get_close_matches(name, names, n=1) for name in wrong]
        meant = "".join(f"; did you mean {one[0]!r}?" for one in close if one)
        listed = ", ".join(repr(name) for name in wrong)
        raise ConfigurationError(f"the run's conf has unknown parameters: {listed}{meant} (known: {', '.join(names)})")


def as_list(value: Sequence[str] | str | None) -> list[str] | None:
    """Names from a list or comma-separated text; None if empty."""
    if isinstance(value, str):
        value = () if value.strip() in UNSET else value.split(",")
    return [name.strip() for name in value or () if name.strip()] or None


def our_name(name: str) -> str:
    """ccxt's BTC/USDT and BTC/USDT:USDT are our BTC-USDT; other text stays."""
    spelled = re.fullmatch(r"([^-/:]+)/([^-/:]+)(?::\2)?", name)
    return f"{spelled[1]}-{spelled[2]}" if spelled else name


def as_moment(name: str, value: str | int | None) -> datetime | None:
    """A UTC time from ISO 8601 (no offset: UTC) or epoch ms; None if unset.

    Raises :class:`ConfigurationError`: Airflow does not check `date-time`.
    """
    text = "" if value is None else str(value).strip()
    if text in UNSET:
        return None
    try:
        return _utc(text)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(
            f"{name}: {text!r} is not a time; write ISO 8601 such as 2026-01-31T12:00Z, or epoch ms"
        ) from error


def _utc(text: str) -> datetime:
    if text.isdigit():
        if len(text) < FEWEST_MS_DIGITS:
            raise ValueError(f"too short for epoch ms: {text}")
        return datetime.fromtimestamp(int(text) / 1000, tz=timezone.utc)
    at = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text)
    return at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc)

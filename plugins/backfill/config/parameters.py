"""What people type into a trigger form or a command line: lists of names and moments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from backfill.errors import ConfigurationError

# A template renders a missing parameter as one of these.
UNSET = ("", "None")
# Epoch ms have had so many since 1973. Fewer are a year, a date without dashes or epoch seconds: as ms they would all
# mean January 1970, and a window that starts there asks for the whole history.
FEWEST_MS_DIGITS = 12


def as_list(value: Sequence[str] | str | None) -> list[str] | None:
    """Names from a list or from text with commas; nothing is None."""
    if isinstance(value, str):
        value = () if value.strip() in UNSET else value.split(",")
    return [name.strip() for name in value or () if name.strip()] or None


def as_moment(name: str, value: str | int | None) -> datetime | None:
    """An aware UTC time from ISO 8601 (without an offset: UTC) or epoch ms; unset is None.

    Airflow does not check the `date-time` format of a parameter, so this is where a bad one is found:
    :class:`ConfigurationError` names it.
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

"""What people type into a trigger form or a command line: lists of names and moments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from backfill.errors import ConfigurationError

# A template renders a missing parameter as one of these.
UNSET = ("", "None")


def as_list(value: Sequence[str] | str | None) -> list[str] | None:
    """Names from a list or from text with commas; nothing is None."""
    names = value.split(",") if isinstance(value, str) and value not in UNSET else value or ()
    return [name.strip() for name in names if name.strip()] or None


def as_moment(name: str, value: str | int | None) -> datetime | None:
    """An aware UTC time from ISO 8601 (without an offset: UTC) or epoch ms; unset is None.

    Airflow does not check the `date-time` format of a parameter, so this is where a bad one is found:
    :class:`ConfigurationError` names it.
    """
    text = "" if value is None else str(value).strip()
    if text in UNSET:
        return None
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text) / 1000, tz=timezone.utc)
        at = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(
            f"{name}: {text!r} is not a time; write ISO 8601 such as 2026-01-31T12:00Z, or epoch ms"
        ) from error
    return at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc)

"""`.env` files, as older jobs read them: the command line uses them for what the environment lacks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from backfill.config.older_names import KEYS, KNOBS, say
from backfill.errors import SettingsInvalid

FILES = (".env", ".env.local")
# Names one file instead.
VARIABLE = "BACKFILL_ENV_FILE"
DATABASE_URL = "DATABASE_URL"
OURS = ("BACKFILL_", "AIRFLOW_CONN_")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


def parse_env(text: str) -> dict[str, str]:
    """Names and values, one a line, without quotes and comments; other lines are skipped."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            values[found[1]] = _plain(found[2])
    return values


def read_env_files(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """`.env` and `.env.local` of a folder, the latter first, or the file of BACKFILL_ENV_FILE."""
    named = environ.get(VARIABLE, "").strip()
    if named:
        return _read(Path(named).expanduser())
    values: dict[str, str] = {}
    for path in (folder / name for name in FILES):
        values |= _read(path) if path.is_file() else {}
    return values


def adopt(values: Mapping[str, str], environ: MutableMapping[str, str] | None = None) -> dict[str, str]:
    """Add our names to the environment if unset; return the older job's options."""
    given = os.environ if environ is None else environ
    for name, value in values.items():
        is_ours = name.startswith(OURS) or name == DATABASE_URL
        if is_ours and value and not given.get(name, "").strip():
            given[name] = value
        elif name in KEYS and value:
            say(f"{name} {KEYS[name]}")
    return {name: values[name] for name in KNOBS if name in values}


def _read(path: Path) -> dict[str, str]:
    try:
        return parse_env(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid([f"{path}: cannot be read as settings: {error}"]) from error


def _plain(value: str) -> str:
    if value[:1] in ('"', "'"):
        quote = value[0]
        return value[1:].partition(quote)[0]
    return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()

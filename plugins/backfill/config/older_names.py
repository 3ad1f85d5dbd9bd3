"""Names of older jobs: each works, or is accepted and its replacement logged. None stops a run."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

# Names of older systems, and why they have no use now.
NOT_NEEDED = {
    "BACKFILL_MAX_GAP_MINUTES": "has no use: gaps of any length are filled; BACKFILL_LOOKBACK_HOURS bounds the window",
    "BACKFILL_SYMBOL_SLEEP_MS": "has no use: requests are spaced by source, not by symbol; "
    "BACKFILL_REQUEST_SLEEP_MS puts more room between them",
    "BACKFILL_CONFIG": "has no use: its keys are in include/universe.yaml now; docs/settings.md says which is where",
}
DAYS, HOURS = "BACKFILL_LOOKBACK_DAYS", "BACKFILL_LOOKBACK_HOURS"
# Only in a file: variables of that name may be any program's.
KEYS = dict.fromkeys(
    ("API_KEY", "API_SECRET"),
    "is not used: candles are public; AIRFLOW_CONN_<SOURCE>_DEFAULT holds a source's key and secret",
)
# The older Binance job's settings, as options of `backfill fill`.
KNOBS = {
    "SYMBOLS": "--symbols",
    "TIMEFRAME": "--timeframes",
    "START_TS": "--from",
    "END_TS": "--to",
    "BATCH_LIMIT": "--batch-limit",
    "SLEEP_MS": "--sleep-ms",
}
# The older job took larger numbers than any exchange.
LARGEST = {"BATCH_LIMIT": 1440, "SLEEP_MS": 60_000}

_said: set[str] = set()


def accepted(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with current names; each older one is logged."""
    given = dict(environ)
    for name in sorted(NOT_NEEDED.keys() & given.keys()):
        if given.pop(name).strip():
            say(f"{name} {NOT_NEEDED[name]}")
    days = given.pop(DAYS, "").strip()
    if days and given.get(HOURS, "").strip():
        say(f"{DAYS} is not used: {HOURS} is set")
    elif re.fullmatch(r"0*[1-9][0-9]{0,4}", days):
        given[HOURS] = str(24 * int(days))
        say(f"{DAYS}={days} is read as {HOURS}={given[HOURS]}, which replaced it")
    elif days:
        say(f"{DAYS}={days} is not used: it is no whole number of days; {HOURS} replaced it")
    return given


def fill_options(environ: Mapping[str, str]) -> list[str]:
    """Options of `backfill fill` by the older job's names; unset and 0 are the defaults."""
    options: list[str] = []
    for name, option in KNOBS.items():
        value = environ.get(name, "").strip()
        if value in ("", "0"):
            continue
        largest = LARGEST.get(name)
        if largest is not None and value.isdigit() and int(value) > largest:
            say(f"{name}={value} is read as {largest}, the largest there is")
            value = str(largest)
        say(f"{name} is read as {option}, which replaced it")
        options += [option, value]
    return options


def say(line: str) -> None:
    """Log a line, once in a process."""
    if line not in _said:
        _said.add(line)
        logging.getLogger("backfill.settings").warning(line)

"""Fields of the trigger forms, with the universe's symbols to choose from."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Param

from backfill.config.settings import load_settings
from backfill.config.source_names import SOURCES
from backfill.config.universe_file import load_universe
from backfill.domain.symbols import SYMBOL_PATTERN
from backfill.domain.timeframes import TIMEFRAMES
from backfill.errors import BackfillError

# Sections of the forms, in this order.
WHAT, WHEN, HOW = "Which candles", "Window", "How"
# Every task parses its Dag file first. A larger universe is typed in, one name a line.
MOST_BYTES, MOST_CHOICES = 32_000, 500

# Templates render to text; a missing parameter is empty.
SYMBOLS = "{{ (params.symbols or []) | join(',') }}"
TIMEFRAMES_ASKED = "{{ (params.timeframes or []) | join(',') }}"


def window_form(unset_start: str, unset_end: str) -> dict[str, Param]:
    """Symbols, timeframes and window; arguments describe empty start and end."""
    return {
        **series_fields(),
        "start": moment_field("Start", f"Start of the window; none: {unset_start}."),
        "end": moment_field("End", f"End of the window, exclusive; none: {unset_end}."),
        "recheck": Param(
            False,
            type="boolean",
            title="Ask again",
            section=HOW,
            description="Ask again for bars that the exchange has said it does not have.",
        ),
    }


def series_fields() -> dict[str, Param]:
    """Which symbols and timeframes; none: all of the universe."""
    return {
        "symbols": _names(
            "Symbols",
            {"type": "string", "pattern": f"^{SYMBOL_PATTERN}$"},
            universe_symbols(),
            "Only these instruments, such as BTC-USDT; none: the whole universe.",
        ),
        "timeframes": _names(
            "Timeframes",
            {"type": "string", "enum": list(TIMEFRAMES)},
            list(TIMEFRAMES),
            "Only these timeframes; none: all that the universe keeps.",
        ),
    }


def sources_field() -> Param:
    """Which sources; none: all of the universe."""
    return _names(
        "Sources",
        {"type": "string", "pattern": "^[a-z][a-z0-9]+$"},
        list(SOURCES),
        "Ask only these, as far as the universe has them for a series; none: all that it has.",
        section=HOW,
    )


def moment_field(title: str, description: str) -> Param:
    """A moment, or none."""
    return Param(None, type=["null", "string"], format="date-time", title=title, section=WHEN, description=description)


def universe_symbols() -> list[str]:
    """The universe's symbols; none where it is `all`, large, or faulty, which `detect_gaps` reports."""
    try:
        settings = load_settings()
        if settings.universe.stat().st_size > MOST_BYTES:
            return []
        universe = load_universe(settings.universe, settings.profile)
        symbols = list(dict.fromkeys(wish.symbol for wish in universe.series()))
    except (BackfillError, OSError):
        return []
    return symbols if len(symbols) <= MOST_CHOICES else []


def _names(title: str, items: dict[str, Any], choices: list[str], description: str, section: str = WHAT) -> Param:
    """Several names; Airflow offers ``choices``, or lines to type in where there are none."""
    offered: dict[str, Any] = {"examples": choices} if choices else {}
    return Param(
        None,
        type=["null", "array"],
        items=items,
        title=title,
        section=section,
        description=description,
        **offered,
    )

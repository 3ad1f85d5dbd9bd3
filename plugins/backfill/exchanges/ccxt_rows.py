"""All rows of an answer, read by ccxt, and the span that they cover."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from backfill.domain.venues import ANY_KEY, Venue

# A page cut short at an unknown limit has a multiple of this.
ROUND_PAGE_ROWS = 100
COLUMNS = 6
NO_CELLS = [None] * COLUMNS
# Python also accepts "1_000", " 1" and digits of other scripts.
_PLAIN = re.compile(r"[!-^`-~]*")  # ASCII without blanks and underscore


class CcxtRow(NamedTuple):
    """One bar as ccxt reads it, in the venue's units; None: missing or no number.

    ``closed``: as the venue says, else True. ``raw``: the row as received.
    """

    open_ms: int | None
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    quote_volume: Any
    closed: bool
    raw: Any


def row_of(exchange: Any, venue: Venue, raw: Any, market: Any) -> CcxtRow:
    """One raw row, read by ccxt; without cells if unreadable or without a required ``confirm``."""
    confirm = "1" if venue.confirm_at is None else str(_cell(raw, venue.confirm_at))
    try:
        cells = list(exchange.parse_ohlcv(_plain(raw), market)) if confirm in ("0", "1") else NO_CELLS
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):
        cells = NO_CELLS
    return _row(cells, _cell(raw, venue.quote_volume_at), confirm == "1", raw)


def row_as_sent(sent: Any) -> CcxtRow:
    """A row that the venue's ccxt class parsed in its own way."""
    return sent if isinstance(sent, CcxtRow) else _row(sent if isinstance(sent, list) else NO_CELLS, None, True, sent)


def _row(cells: Sequence[Any], quote_volume: Any, closed: bool, raw: Any) -> CcxtRow:
    return CcxtRow._make([*[*cells, *NO_CELLS][:COLUMNS], quote_volume, closed, raw])


def _plain(raw: Any) -> Any:
    if isinstance(raw, list):
        with suppress(TypeError):  # mostly all of it is text, and none of that is odd
            if _PLAIN.fullmatch("".join(raw)):
                return raw
        return [_plain_cell(cell) for cell in raw]
    if isinstance(raw, dict):
        return {name: _plain_cell(cell) for name, cell in raw.items()}
    return raw


def _plain_cell(cell: Any) -> Any:
    return None if isinstance(cell, str) and not _PLAIN.fullmatch(cell) else cell


def _cell(raw: Any, place: int | str | None) -> Any:
    try:
        return None if place is None else raw[place]
    except (TypeError, KeyError, IndexError):
        return None


def rows_told(document: Any, path: Sequence[str]) -> int | None:
    """Number of rows at ``path`` of an answer's JSON; None: no list."""
    if not path:
        return len(document) if isinstance(document, list) else None
    if not isinstance(document, dict):
        return None
    if path[0] == ANY_KEY:
        return next((len(value) for value in document.values() if isinstance(value, list)), None)
    return rows_told(document.get(path[0]), path[1:])


def has_empty_list(document: Any) -> bool:
    """Whether the JSON has an empty list at any depth."""
    if isinstance(document, dict):
        return any(has_empty_list(value) for value in document.values())
    return isinstance(document, list) and not document


def covered(venue: Venue, rows: Sequence[CcxtRow], since_ms: int, until_ms: int, step_ms: int) -> tuple[int, int]:
    """The part of [since_ms, until_ms) where a bar without a row does not exist."""
    told = [row.open_ms for row in rows if row.open_ms is not None]
    if not venue.bounded:
        # Perhaps its newest bars: older ones stay unknown.
        return (min(max(since_ms, min(told, default=since_ms)), until_ms), until_ms)
    wanted = {ms for ms in told if since_ms <= ms < until_ms}
    if wanted and len(wanted) < (until_ms - since_ms) // step_ms and len(rows) % ROUND_PAGE_ROWS == 0:
        # Perhaps cut at an unknown limit, at either end.
        return (min(wanted), max(wanted) + step_ms)
    return (since_ms, until_ms)

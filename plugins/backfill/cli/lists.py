"""Helpers of the commands that list items for a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backfill.cli.output import Output
from backfill.errors import UnknownSymbol
from backfill.storage.candle_store import CandleStore
from backfill.storage.candles_by_hand import writable_series


def check_symbols(store: CandleStore, symbols: Sequence[str] | None) -> None:
    """Raise :class:`UnknownSymbol` for one without a series."""
    if symbols is not None:
        known = list(dict.fromkeys(window.symbol for window in writable_series(store, settle_ms=0)))
        for symbol in symbols:
            if symbol not in known:
                raise UnknownSymbol(symbol, known)


def show_newest(
    output: Output, what: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], most: int
) -> None:
    """Print the first ``most`` of ``rows``; a further row means that there are more."""
    shown = rows[:most]
    if output.as_json:
        output.document({what: shown, "more": len(rows) > most})
    elif shown:
        output.table(f"{what}: {len(shown):,}", shown, columns)
        if len(rows) > most:
            output.line(f"these are the newest {most:,}; --limit shows more")
    else:
        output.line(f"{what}: none")


def exact(value: float | None) -> str:
    """A price or volume with all its digits."""
    return "unknown" if value is None else f"{value:.15g}"

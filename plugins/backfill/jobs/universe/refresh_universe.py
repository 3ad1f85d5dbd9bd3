"""Ask the exchange for its instruments now, and declare the universe over them: `instruments: all` follows the list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backfill.jobs.universe.declare_universe import declare
from backfill.jobs.universe.refresh_instruments import last_log_id, logged_after
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import translated_errors
from backfill.storage.named_queries import query


@dataclass(frozen=True)
class RefreshReport:
    """``changes``: rows of ``instrument_log``; ``series``: how many are wanted now; ``added`` and ``ended``: symbols
    that the universe means since, or no longer."""

    changes: list[dict[str, Any]]
    series: int
    added: list[str]
    ended: list[str]

    @property
    def lines(self) -> list[str]:
        return [*map(_sentence, self.changes), *(f"{symbol} is kept from now on" for symbol in self.added),
                *(f"{symbol} is no longer kept up to date; its candles stay" for symbol in self.ended)]  # fmt: skip

    def totals(self) -> dict[str, int]:
        return {
            "changes": len(self.changes),
            "series": self.series,
            "added": len(self.added),
            "ended": len(self.ended),
        }


def refresh_universe(runtime: Runtime) -> RefreshReport:
    """Ask for the instruments now and declare the universe over them anew: `instruments: all` follows the list.

    Raises the exchange's error if it does not tell them.
    """
    store = runtime.store
    before, last_id = _wanted_symbols(store), last_log_id(store)
    wishes = declare(runtime, ask_anyway=True)
    after = {wish.symbol for wish in wishes}
    return RefreshReport(logged_after(store, last_id), len(wishes), sorted(after - before), sorted(before - after))


def _wanted_symbols(store: CandleStore) -> set[str]:
    with translated_errors():
        return {str(row[0]) for row in store.connection.execute(query("series/select_wanted_symbols"))}


def _sentence(change: Mapping[str, Any]) -> str:
    what = change["what"].replace("_", " ")
    told = {"listed": "", "delisted": "", "relisted": "", "renamed": f" to {change['new']}"}
    return f"{change['instrument']} {what}" + told.get(change["what"], f": {change['old']} -> {change['new']}")

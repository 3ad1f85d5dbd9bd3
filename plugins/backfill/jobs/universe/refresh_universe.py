"""Refresh primary sources' market lists and declare the universe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backfill.jobs.universe.declare_universe import declare
from backfill.sources.runtime import Runtime
from backfill.storage.instruments import InstrumentChange


@dataclass(frozen=True)
class RefreshReport:
    """``changes``: rows of ``instrument_log``; ``series``: number wanted; ``added``, ``ended``: symbols."""

    changes: Sequence[InstrumentChange]
    series: int
    added: list[str]
    ended: list[str]

    @property
    def lines(self) -> list[str]:
        """One sentence per change and symbol."""
        return [*map(_sentence, self.changes), *(f"{symbol} is kept from now on" for symbol in self.added),
                *(f"{symbol} is no longer kept up to date; its candles stay" for symbol in self.ended)]  # fmt: skip

    def totals(self) -> dict[str, int]:
        """Counts of changes, series and symbols."""
        return {
            "changes": len(self.changes),
            "series": self.series,
            "added": len(self.added),
            "ended": len(self.ended),
        }


def refresh_universe(runtime: Runtime) -> RefreshReport:
    """Ask whatever the descriptions' age. Raises the source's error."""
    instruments = runtime.store.instruments
    before, last_id = instruments.wanted_symbols(), instruments.last_log_id()
    wishes = declare(runtime, ask_anyway=True)
    after = instruments.wanted_symbols()
    return RefreshReport(instruments.logged_after(last_id), len(wishes), sorted(after - before), sorted(before - after))


def _sentence(change: InstrumentChange) -> str:
    what = change.what.replace("_", " ")
    details = {
        "listed": "",
        "delisted": "",
        "relisted": "",
        "renamed": f" to {change.new}: see `backfill rename {change.old} {change.new} --dry-run` for its history",
        "history_carried": f" over from {change.old} ({change.new})",
        "split": f" {change.new}",
        "name_reused": f" ({change.new}): what it was before is kept as {change.old}",
    }
    return f"{change.instrument} {what}" + details.get(change.what, f": {change.old} -> {change.new}")

"""When markets are closed, as the ledger subtracts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backfill.domain.intervals import Interval
from backfill.storage.database import Connection, translated_errors
from backfill.storage.multiranges import to_multirange
from backfill.storage.named_queries import query


@dataclass(frozen=True)
class KnownHours:
    """The span of a calendar's stored closed bars, their rules, and since when."""

    known: Interval
    made_by: str
    made_at: datetime


class Closures:
    """Reads and writes ``closures``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def known(self) -> dict[tuple[str, str], KnownHours]:
        """What is stored, by calendar and timeframe."""
        with translated_errors():
            rows = self._connection.execute(query("closures/select_known")).fetchall()
        return {
            (calendar, timeframe): KnownHours(Interval(start_ms, end_ms), made_by, made_at)
            for calendar, timeframe, start_ms, end_ms, made_by, made_at in rows
        }

    def write(self, calendar: str, timeframe: str, closed: Sequence[Interval], known: Interval, made_by: str) -> None:
        """Replace the stored closed bars of a calendar."""
        params = {
            "calendar": calendar,
            "timeframe": timeframe,
            "closed": to_multirange(closed),
            "start_ms": known.start,
            "end_ms": known.end,
            "made_by": made_by,
        }
        with translated_errors():
            self._connection.execute(query("closures/upsert_closures"), params)

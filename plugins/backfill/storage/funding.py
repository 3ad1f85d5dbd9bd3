"""Funding payments, and between which moments they are whole."""

from __future__ import annotations

from collections.abc import Sequence

from backfill.domain.funding import FundingEvent
from backfill.domain.intervals import Interval
from backfill.storage.database import Connection, fetch_one, translated_errors
from backfill.storage.multiranges import to_intervals, to_multirange
from backfill.storage.named_queries import query


class FundingLedger:
    """Reads and writes ``funding_rates`` and ``funding_spans``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def known(self, symbol: str, source_id: int) -> tuple[list[Interval], list[int]]:
        """The whole spans, and the newest two payments, oldest first, in ms."""
        with translated_errors():
            whole, newest = fetch_one(
                self._connection, query("funding/select_whole"), {"symbol": symbol, "source_id": source_id}
            )
        return to_intervals(whole), sorted(newest)

    def times(self, symbol: str, source_id: int, first_ms: int, limit: int) -> list[int]:
        """The oldest ``limit`` payments from ``first_ms`` on."""
        params = {"symbol": symbol, "source_id": source_id, "first_ms": first_ms, "limit": limit}
        with translated_errors():
            return [int(ms) for (ms,) in self._connection.execute(query("funding/select_times"), params)]

    def add_whole(self, symbol: str, source_id: int, whole: list[Interval]) -> list[Interval]:
        """Note that no payment is missing in ``whole``; returns it."""
        self.store(symbol, source_id, [], whole)
        return whole

    def store(self, symbol: str, source_id: int, events: Sequence[FundingEvent], whole: Sequence[Interval]) -> int:
        """Store one answer; return the payments that are new or changed."""
        params = {
            "symbol": symbol,
            "source_id": source_id,
            "funding_ms": [event.funding_ms for event in events],
            "rates": [event.rate for event in events],
            "whole": to_multirange(whole),
        }
        with translated_errors():
            return int(fetch_one(self._connection, query("funding/store_page"), params)[0])

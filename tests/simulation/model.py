"""What must hold after every run, by a model without threads, pages or faults: sets of bars."""

from __future__ import annotations

from typing import Any

import psycopg

from backfill.domain.timeframes import timeframe as timeframe_named
from backfill.storage.series import SeriesWindow
from integration.helpers import assert_held_is_true, rows
from simulation.world import SETTLE_MS, World

_STORED = """
SELECT i.symbol, s.timeframe, (extract(epoch FROM c.open_time) * 1000)::bigint, c.open, c.high, c.low, c.close, q.name
FROM backfill.candles AS c JOIN backfill.series AS s ON s.id = c.series_id
JOIN backfill.instruments AS i ON i.id = s.instrument_id JOIN backfill.sources AS q ON q.id = c.source_id
ORDER BY 1, 2, 3
"""
_RUNS = "SELECT id, status, missing_after, finished_at IS NOT NULL, error FROM backfill.gap_fill_runs ORDER BY id"

Key = tuple[str, str, int]
Due = dict[Key, tuple[float, ...]]


class Model:
    """What is known of the world's candles: what exists, and what was seen stored."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: set[tuple[Any, ...]] = set()
        self._stored: dict[Key, tuple[Any, ...]] = {}
        self._read_after_steps = -1

    def stored(self) -> dict[Key, tuple[Any, ...]]:
        """Symbol, timeframe and open ms → prices and source; read again once the world has gone on."""
        if self._read_after_steps != len(self.world.trace):
            self._stored = {row[:3]: row[3:] for row in rows(self.connection, _STORED)}
            self._read_after_steps = len(self.world.trace)
        return self._stored

    @property
    def connection(self) -> psycopg.Connection[Any]:
        return self.world.admin

    def due(self, windows: list[SeriesWindow]) -> Due:
        """Each bar of the windows that exists and is over by the exchange's clock, with its prices."""
        exists: Due = {}
        for window in windows:
            bars = self.world.market.candles(window.symbol, window.timeframe, window.start_ms, window.end_ms)
            over_ms = self.world.exchange_ms() - SETTLE_MS - timeframe_named(window.timeframe).step_ms
            exists |= {
                (window.symbol, window.timeframe, bar[0]): bar[1:5] for bar in bars.tolist() if bar[0] <= over_ms
            }
        return exists

    def check_safety(self) -> None:
        """Nothing lost, invented or doubled; the ledger and the log are true."""
        assert_held_is_true(self.connection)
        stored = self.stored()
        lost = self.seen - stored.keys()
        assert not lost, f"were stored once and are gone: {sorted(lost)[:3]}"
        self.seen = set(stored)
        invented = [
            (key, values)
            for key, values in stored.items()
            if values[-1] == "blofin" and (*key, *values[:4]) not in self.world.served
        ]
        assert not invented, f"no exchange has said so: {invented[:3]}"
        self._check_log(len(stored))

    def _check_log(self, stored: int) -> None:
        (inserted,) = rows(self.connection, "SELECT coalesce(sum(rows_inserted), 0) FROM backfill.gap_fill_runs")
        assert inserted[0] == stored, f"the log counts {inserted[0]} rows inserted, {stored} are there"
        for number, status, missing, is_finished, error in rows(self.connection, _RUNS):
            assert is_finished == (status != "running"), (number, status)
            assert status != "complete" or missing == 0, (number, status, missing)
            assert status != "failed" or error, (number, status)

    def least_requests(self, due: Due) -> int:
        """Pages that cover the bars that are not stored, newest first."""
        reached_ms: dict[tuple[str, str], int] = {}
        pages = 0
        for symbol, timeframe, open_ms in sorted(self.missing(due), reverse=True):
            step_ms = timeframe_named(timeframe).step_ms
            if open_ms < reached_ms.get((symbol, timeframe), open_ms + 1):
                pages += 1
                reached_ms[symbol, timeframe] = open_ms + step_ms - self.world.rows_per_page * step_ms
        return pages

    def missing(self, due: Due) -> list[Key]:
        """Bars that are not stored."""
        return sorted(due.keys() - self.stored().keys())

    def wrong(self, due: Due) -> list[tuple[Any, ...]]:
        """The primary source's bars whose prices are not those that exist."""
        stored = self.stored()
        return [
            (key, stored[key], prices)
            for key, prices in due.items()
            if key in stored and stored[key][-1] == "blofin" and stored[key][:4] != prices
        ]

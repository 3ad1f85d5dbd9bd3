"""Fills over several sources, and what the database says of them afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from backfill.jobs.fill.fill_gaps import FillReport
from backfill.jobs.fill.fill_universe import fill_series
from backfill.storage.candle_store import CandleStore
from backfill.storage.gap_fill_log import RunIdentity
from backfill.storage.series import SeriesWindow
from integration.exchange import candles_in_database
from integration.fallback.conftest import MARKET, Venues
from integration.helpers import HOUR_MS, one, rows, wanted_series

SOURCES = ("blofin", "okx", "bybit", "binanceusdm")
HOURS = 6

_numbers = itertools.count(1)


def want(store: CandleStore, symbol: str = "BTC-USDT", *, sources: Sequence[str] = SOURCES, **how: Any) -> SeriesWindow:
    """A series as the universe declares it: the last hours of minutes, from these sources, an instrument well known."""
    window = wanted_series(store, symbol, sources=sources, **{"history_ms": HOURS * HOUR_MS, "state": "live", **how})
    store.connection.execute("UPDATE backfill.instruments SET contract_type = 'linear', settle_currency = 'USDT'")
    return window


def run(venues: Venues, windows: Sequence[SeriesWindow], run_id: str | None = None, **how: Any) -> list[FillReport]:
    """One run over all of them, in the order of their names."""
    who = RunIdentity("test", run_id or f"run {next(_numbers)}", "fill")
    if "leave_out" in how:
        how["leave_out"] = {window.series_id: how["leave_out"] for window in windows}
    with venues.open_runtime() as runtime:
        return sorted(fill_series(runtime, windows, who, **how), key=lambda report: (report.symbol, report.timeframe))


def sources_stored(store: CandleStore, window: SeriesWindow) -> dict[str, int]:
    """How many candles each source has given of those that are stored."""
    sql = (
        "SELECT s.name, count(*) FROM backfill.candles AS c JOIN backfill.sources AS s ON s.id = c.source_id "
        "WHERE series_id = %s GROUP BY 1"
    )
    return dict(rows(store.connection, sql, (window.series_id,)))


def native_candles(window: SeriesWindow) -> list[tuple[Any, ...]]:
    return [tuple(bar) for bar in MARKET.candles(window.symbol, "1m", window.start_ms, window.end_ms).tolist()]


def assert_near_native(store: CandleStore, window: SeriesWindow, *, volume_share: float, opens_ms: range) -> None:
    """The venue's candles are the primary source's but for its price difference and its share of the volume."""
    native = {bar[0]: bar for bar in native_candles(window)}
    stored = {bar[0]: bar for bar in candles_in_database(store, window) if bar[0] in opens_ms}
    assert list(stored) == list(opens_ms)
    for open_ms, theirs in stored.items():
        ours = native[open_ms]
        for place in range(1, 5):
            assert abs(theirs[place] / ours[place] - 1) < 0.005, (open_ms, theirs, ours)
    for place in (5, 6):
        share = sum(bar[place] for bar in stored.values()) / sum(native[open_ms][place] for open_ms in stored)
        assert abs(share / volume_share - 1) < 0.05, (place, share)


def stand_in_is_empty(store: CandleStore, window: SeriesWindow) -> bool:
    return bool(one(store.connection, "SELECT stand_in = '{}' FROM backfill.series WHERE id = %s", (window.series_id,)))


def stand_in_ms(store: CandleStore, window: SeriesWindow) -> int:
    sql = "SELECT backfill.covered_ms(stand_in) FROM backfill.series WHERE id = %s"
    return int(one(store.connection, sql, (window.series_id,)))


def health(store: CandleStore) -> dict[str, str]:
    """The breaker of each source that has one."""
    sql = "SELECT s.name, h.state FROM backfill.source_health AS h JOIN backfill.sources AS s ON s.id = h.source_id"
    return dict(rows(store.connection, sql))


def listing(store: CandleStore, symbol: str, source: str) -> dict[str, Any]:
    """What is known of a listing."""
    sql = (
        "SELECT l.status, l.venue_symbol, l.price_scale, l.volume_scale, l.reason, l.proved_by, l.instrument_class "
        "FROM backfill.listings AS l JOIN backfill.instruments AS i ON i.id = l.instrument_id "
        "JOIN backfill.sources AS s ON s.id = l.source_id WHERE i.symbol = %s AND s.name = %s"
    )
    names = ("status", "venue_symbol", "price_scale", "volume_scale", "reason", "proved_by", "instrument_class")
    (row,) = rows(store.connection, sql, (symbol, source))
    return dict(zip(names, row, strict=True))

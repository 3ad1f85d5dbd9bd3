"""What the tests of roll-ups share: series, fills, and what they look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backfill.config.connections import SourceConnection
from backfill.config.settings import Settings
from backfill.jobs.fill.fill_gaps import FillReport
from backfill.jobs.fill.fill_universe import fill_series
from backfill.sources.runtime import Runtime
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.exchange import (
    WHO,
    PaperBlofin,
    fill,
)
from integration.helpers import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    rows,
    wanted_series,
    window_of,
)

QUARTER_MS = 15 * MINUTE_MS


def want(
    store: CandleStore, timeframe: str, *, history_ms: int = DAY_MS, roll_up: bool = True, **how: Any
) -> SeriesWindow:
    wanted_series(store, timeframe=timeframe, history_ms=history_ms, **how)
    store.connection.execute("UPDATE backfill.series SET roll_up = %s WHERE timeframe = %s", (roll_up, timeframe))
    return window_of(store, how.get("symbol", "BTC-USDT"), timeframe)


def held_quarters(store: CandleStore, exchange: PaperBlofin, **how: Any) -> SeriesWindow:
    window = want(store, "15m", **how)
    assert fill(store, exchange, window).missing_after == 0
    exchange.behave()
    return window


def by_source(store: CandleStore, window: SeriesWindow) -> dict[str, int]:
    sql = (
        "SELECT s.name, count(*) FROM backfill.candles AS c JOIN backfill.sources AS s ON s.id = c.source_id "
        "WHERE series_id = %s GROUP BY 1"
    )
    return dict(rows(store.connection, sql, (window.series_id,)))


def quarters_of(hour_ms: int) -> list[int]:
    return list(range(hour_ms, hour_ms + HOUR_MS, QUARTER_MS))


def revisions(store: CandleStore, window: SeriesWindow) -> list[tuple[Any, ...]]:
    sql = (
        "SELECT r.reason, old.name, new.name, count(*)::int FROM backfill.revisions AS r "
        "JOIN backfill.sources AS old ON old.id = r.source_id JOIN backfill.sources AS new ON new.id = r.new_source_id "
        "WHERE r.series_id = %s GROUP BY 1, 2, 3"
    )
    return rows(store.connection, sql, (window.series_id,))


def reaching(window: SeriesWindow, start_ms: int) -> SeriesWindow:
    """What is there of it, if what makes coarser bars begins earlier."""
    return window._replace(start_ms=min(window.start_ms, start_ms))


def open_runtime(database_uri: str, exchange: PaperBlofin) -> Runtime:
    return Runtime(database_uri, Settings(), lambda _: SourceConnection(base_url=exchange.url))


def fill_all(database_uri: str, exchange: PaperBlofin, windows: Sequence[SeriesWindow]) -> list[FillReport]:
    with open_runtime(database_uri, exchange) as runtime:
        return list(fill_series(runtime, windows, WHO))

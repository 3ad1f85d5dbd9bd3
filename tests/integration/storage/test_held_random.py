"""Any sequence of writes, ours and strangers', leaves the ledger true."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backfill.domain.timeframes import utc
from backfill.storage.candle_store import CandleStore
from backfill.storage.series import SeriesWindow
from integration.helpers import (
    HOUR_MS,
    MINUTE_MS,
    assert_held_is_true,
    candles,
    foreign_rows,
    insert_foreign,
    ms,
    store_bars,
    wanted_series,
)

# Two hours around a month's end, so that moves and ranges cross partitions. Each series on its own grid.
START_MS, END_MS = ms("2026-01-31T23:00"), ms("2026-02-01T01:00")
SERIES = [("BTC-USDT", "1m", MINUTE_MS), ("ETH-USDT", "1m", MINUTE_MS), ("BTC-USDT", "5m", 5 * MINUTE_MS)]
NOW_MS = END_MS + 30_000

Write = Callable[[CandleStore, list[SeriesWindow]], object]

minutes = st.integers(0, 119).map(lambda n: START_MS + n * MINUTE_MS)
spans = st.tuples(minutes, st.integers(1, 40)).map(lambda s: (s[0], s[0] + s[1] * MINUTE_MS))
which = st.integers(0, len(SERIES) - 1)
bars = st.lists(st.tuples(which, minutes), min_size=1, max_size=30, unique=True)
OFF_CONFLICT = ["", "ON CONFLICT DO NOTHING", "ON CONFLICT (series_id, open_time) DO UPDATE SET close = excluded.close"]


def _insert(rows: list[tuple[int, int]], tail: str) -> Write:
    def write(store: CandleStore, windows: list[SeriesWindow]) -> None:
        listed = [
            row for number, at in rows for row in foreign_rows(windows[number].series_id, [at], 1 + at // MINUTE_MS % 3)
        ]
        insert_foreign(store.connection, listed, tail)

    return write


def _copy(rows: list[tuple[int, int]]) -> Write:
    def write(store: CandleStore, windows: list[SeriesWindow]) -> None:
        with store.connection.cursor() as cursor, cursor.copy("COPY backfill.candles FROM STDIN") as copy:
            for number, at in rows:
                copy.write_row(foreign_rows(windows[number].series_id, [at], 1 + at // MINUTE_MS % 2)[0])

    return write


def _statement(sql: str, number: int, span: tuple[int, int], shift_minutes: int = 0) -> Write:
    def write(store: CandleStore, windows: list[SeriesWindow]) -> None:
        names: dict[str, Any] = {"first": utc(span[0]), "past": utc(span[1]), "shift": shift_minutes}
        names |= {"series": windows[number].series_id, "next": windows[(number + 1) % len(windows)].series_id}
        store.connection.execute(sql, names)

    return write


def _page(number: int, span: tuple[int, int], source: str) -> Write:
    def write(store: CandleStore, windows: list[SeriesWindow]) -> None:
        step_ms = SERIES[number][2]
        opens = [at for at in range(*span, MINUTE_MS) if at % step_ms == 0 and at < END_MS]
        store_bars(store, windows[number], candles(opens, close=100.5), source=source)

    return write


RANGE = "open_time >= %(first)s AND open_time < %(past)s"
one_write = st.one_of(
    st.builds(_insert, bars, st.sampled_from(OFF_CONFLICT)),
    st.builds(_copy, bars),
    st.builds(_page, which, spans, st.sampled_from(["blofin", "okx"])),
    st.builds(
        _statement,
        st.sampled_from(
            [
                f"DELETE FROM backfill.candles WHERE series_id = %(series)s AND {RANGE}",
                f"DELETE FROM backfill.candles WHERE {RANGE}",
                f"UPDATE backfill.candles SET close = close + 0.1 WHERE {RANGE}",
                f"UPDATE backfill.candles SET source_id = 3 - source_id WHERE source_id < 3 AND {RANGE}",
                "UPDATE backfill.series SET source_ids = ARRAY[source_ids[2], source_ids[1]] WHERE id = %(series)s",
                f"UPDATE backfill.candles SET series_id = %(next)s WHERE series_id = %(series)s AND {RANGE}",
                f"UPDATE backfill.candles SET open_time = open_time + %(shift)s * interval '1 minute' WHERE {RANGE}",
                "TRUNCATE backfill.candles_y2026m01",
                "TRUNCATE backfill.candles",
            ]
        ),
        which,
        spans,
        st.integers(-70, 70),
    ),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(one_write, min_size=1, max_size=12))
def test_held_is_true_after_every_write(store: CandleStore, writes: list[Write]) -> None:
    store.connection.execute("TRUNCATE backfill.candles; DELETE FROM backfill.series")
    windows = [
        wanted_series(store, symbol, timeframe, history_ms=2 * HOUR_MS, sources=["blofin", "okx"], now_ms=NOW_MS)
        for symbol, timeframe, _ in SERIES
    ]
    store.prepare(windows[0])
    for write in writes:
        with suppress(psycopg.errors.UniqueViolation):  # refused as a whole, and so must leave no trace
            write(store, windows)
        assert_held_is_true(store.connection)

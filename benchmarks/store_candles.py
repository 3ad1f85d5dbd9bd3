"""Candles stored per second by the store's own page path, beside a bare binary COPY of the same rows.

Ours is all that a fill does with an answer: told apart, copied or merged, ledger, absences, revisions, run log, one
transaction a page. The bare tables have the columns, the key and the partitions of ``candles``, and nothing else.
Series by series all kinds take turns, in tables that grow alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice

import numpy as np
from psycopg import sql
from throw_away import Stopwatch, spread, throw_away_database

from backfill.domain.answers import bar_intervals
from backfill.domain.candle_columns import CandleFrame
from backfill.domain.intervals import Interval
from backfill.domain.timeframes import MINUTE_MS
from backfill.storage.binary_copy import HEADER, TRAILER, candle_columns, packed
from backfill.storage.candle_store import CandleStore, StoredPage
from backfill.storage.database import Connection, connect, fetch_one
from backfill.storage.gap_fill_log import GapFillLog, Requests, RunIdentity
from backfill.storage.series import SeriesWindow

PAGE_ROWS, PAGES = 1440, 7  # of one series: a week of minutes
SERIES_A_ROUND = 8
ROWS_A_ROUND = SERIES_A_ROUND * PAGES * PAGE_ROWS
START_MS = 1_767_571_200_000  # 2026-01-05T00:00Z
WHO = RunIdentity("benchmark", "store_candles", "store")

BARE = "one COPY"
BARE_PAGES = "a COPY and a commit for each page"
OURS = "store: pages of new bars"
AGAIN = "store: the same pages again"
CORRECTED = "store: pages with 1 % corrected"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, choices=range(1, 41), metavar="1..40")
    rounds = parser.parse_args().rounds
    watch = Stopwatch()
    with throw_away_database() as uri, connect(uri) as connection:
        store = CandleStore(connection)
        series_ids = iter(_make_tables(connection, series=(rounds + 1) * SERIES_A_ROUND))
        for _ in range(rounds + 1):
            watch.start_round()
            # A server that has run for long reuses the files of its log; a new one would make them while we measure.
            connection.execute("CHECKPOINT")
            for series_id in islice(series_ids, SERIES_A_ROUND):
                _take_turns(store, _window(store, series_id), watch)
    del watch.rounds[0]  # it has warmed up
    print(f"{rounds} rounds of {ROWS_A_ROUND:,} candles; median (lowest to highest)")
    print(f"{'':36}{'candles per second':37}times the speed of one COPY")
    for what in (BARE, BARE_PAGES, OURS, AGAIN, CORRECTED):
        speed = spread([ROWS_A_ROUND / s for s in watch.seconds(what)], ",.0f")
        print(f"{what:36}{speed:37}{spread(watch.ratios(what, BARE), '.2f')}")
    print(f"new bars beside {BARE_PAGES}: {spread(watch.ratios(OURS, BARE_PAGES), '.2f')}")


def _take_turns(store: CandleStore, window: SeriesWindow, watch: Stopwatch) -> None:
    """A week of one series, in each way."""
    pages = _pages(seed=window.series_id)
    rows = [_bytes(window, page) for page in pages]
    everything = b"".join(rows)
    with watch.timing(BARE):
        _copy(store.connection, "bare", everything)
    with watch.timing(BARE_PAGES):
        for page_rows in reversed(rows):
            with store.connection.transaction():
                store.connection.execute("SET LOCAL synchronous_commit = off")  # waits for the disk as little as ours
                _copy(store.connection, "bare_pages", page_rows)

    corrected = [_with_corrections(page) for page in pages]
    changed = sum(len(page) // 100 for page in pages)
    for what, given, inserted, revised in (
        (OURS, pages, PAGES * PAGE_ROWS, 0),
        (AGAIN, pages, 0, 0),
        (CORRECTED, corrected, 0, changed),
    ):
        with watch.timing(what):
            stored = _store(store, window, given)
        assert (sum(one.inserted for one in stored), sum(one.revised for one in stored)) == (inserted, revised)


def _store(store: CandleStore, window: SeriesWindow, pages: Sequence[CandleFrame]) -> list[StoredPage]:
    """What a fill does once it has its answers: see ``backfill.jobs.fill.fill_gaps``."""
    (source_id,) = window.source_ids
    log = GapFillLog(store.connection)
    fill_run_id = log.start(WHO, window, store.open_work(window))
    store.prepare(window)
    done = []
    for number, page in enumerate(reversed(pages), start=1):  # newest first
        bars = bar_intervals(page["open_ms"], MINUTE_MS)

        def write(page: CandleFrame = page, bars: list[Interval] = bars, number: int = number) -> StoredPage:
            stored = store.store_page(window, source_id, page, bars=bars, fill_run_id=fill_run_id)
            log.count(fill_run_id, "blofin", stored, MINUTE_MS, Requests(len(pages), number))
            return stored

        done.append(store.in_page_transaction(write))
    log.finish(fill_run_id, "complete", store.open_work(window), Requests(len(pages), len(pages)), None)
    return done


def _pages(seed: int) -> list[CandleFrame]:
    """A random walk, oldest page first."""
    rng = np.random.default_rng(seed)
    close = 100 + np.cumsum(rng.normal(size=PAGES * PAGE_ROWS)) / 100
    volume = rng.exponential(size=len(close))
    prices = {"open": close - 0.01, "high": close + 0.02, "low": close - 0.02, "close": close}
    open_ms = START_MS + MINUTE_MS * np.arange(len(close))
    candles = CandleFrame({"open_ms": open_ms, **prices, "volume": volume, "quote_volume": volume * 100})
    return [candles.rows(slice(first, first + PAGE_ROWS)) for first in range(0, len(close), PAGE_ROWS)]


def _with_corrections(page: CandleFrame) -> CandleFrame:
    """Every hundredth bar has closed a little lower."""
    close = page["close"].copy()
    close[99::100] -= 0.001
    return page.with_columns(close=close)


def _bytes(window: SeriesWindow, page: CandleFrame) -> bytes:
    """Rows of COPY without header and trailer."""
    columns = candle_columns(page, window.series_id, window.source_ids[0])
    assert columns is not None
    return packed(columns, len(page)).removeprefix(HEADER).removesuffix(TRAILER)


def _copy(connection: Connection, table: str, rows: bytes) -> None:
    statement = sql.SQL(
        "COPY {} (series_id, source_id, open_time, open, high, low, close, volume, quote_volume) "
        "FROM STDIN (FORMAT binary)"
    ).format(sql.Identifier(table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(HEADER + rows + TRAILER)


def _make_tables(connection: Connection, series: int) -> list[int]:
    """Two bare tables, partitioned as ``candles`` will be, and that many series; gives their ids."""
    for table in ("bare", "bare_pages"):
        month = f"{table}_y2026m01"
        names = {"table": sql.Identifier(table), "month": sql.Identifier(month)}
        connection.execute(
            sql.SQL("CREATE TABLE {table} (LIKE candles INCLUDING ALL) PARTITION BY RANGE (open_time)").format(**names)
        )
        connection.execute(
            sql.SQL(
                "CREATE TABLE {month} PARTITION OF {table} FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z')"
            ).format(**names)
        )
    store = CandleStore(connection)
    rows = connection.execute(
        "WITH made AS (INSERT INTO instruments (symbol) SELECT 'S' || n FROM generate_series(1, %s) AS n RETURNING id) "
        "INSERT INTO series (instrument_id, timeframe, wanted, history_ms, source_ids) "
        "SELECT id, '1m', true, %s, ARRAY[%s::smallint] FROM made RETURNING id",
        (series, PAGES * PAGE_ROWS * MINUTE_MS, store.source_id("blofin")),
    )
    return [row[0] for row in rows]


def _window(store: CandleStore, series_id: int) -> SeriesWindow:
    end_ms = START_MS + PAGES * PAGE_ROWS * MINUTE_MS
    symbol = fetch_one(
        store.connection,
        "SELECT symbol FROM series AS s JOIN instruments AS i ON i.id = s.instrument_id WHERE s.id = %s",
        (series_id,),
    )[0]
    return SeriesWindow(series_id, symbol, "1m", [store.source_id("blofin")], START_MS, end_ms, None, None)


if __name__ == "__main__":
    main()

"""How long it takes to find out what is missing: from the ledger ``series.held``, beside a scan of the candles.

Large: 10,000 series that hold five years of minutes but for 20 holes each, five of which the source has denied. Nobody
has the disk for their 26 billion candles, so there are none: the ledger is all that gap detection reads. Small: 32
series with a week of candles, where ``lead()`` over the candles can be asked the same question.
"""

from __future__ import annotations

import argparse
import random
from datetime import datetime, timedelta, timezone

from psycopg.rows import dict_row
from throw_away import Stopwatch, spread, throw_away_database

from backfill.jobs.fill.find_gaps import SeriesGaps, find_gaps, selection
from backfill.storage.candle_store import CandleStore
from backfill.storage.database import Connection, connect, fetch_one

AT = datetime(2026, 2, 1, tzinfo=timezone.utc)
WEEK, FIVE_YEARS = timedelta(days=7), timedelta(days=5 * 365)
LARGE_SERIES, SMALL_SERIES = 10_000, 32
HOLES, DENIED = 20, 5

MAKE_SERIES = """
WITH made AS (
    INSERT INTO instruments (symbol) SELECT 'S' || n FROM generate_series(1, %(series)s) AS n RETURNING id
), source AS (
    INSERT INTO sources (name) VALUES ('blofin') ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
)
INSERT INTO series (instrument_id, timeframe, wanted, history_ms, source_ids)
SELECT made.id, '1m', true, %(history_ms)s, ARRAY[source.id] FROM made, source
"""
# Holes of one minute to three hours anywhere in the history.
MAKE_HELD = """
UPDATE series AS s
SET held = int8multirange(int8range(%(end_ms)s - s.history_ms, %(end_ms)s)) - (
    SELECT range_agg(int8range(first, first + s.step_ms * (1 + floor(180 * random() ^ 4)::bigint)))
    FROM (
        SELECT %(end_ms)s - s.step_ms * (181 + floor(random() * (s.history_ms / s.step_ms - 181))::bigint) AS first
        FROM generate_series(1, %(holes)s)
    ) AS hole)
"""
DENY = """
INSERT INTO absences (series_id, source_id, confirmations, expires_at, absent)
SELECT s.id, s.source_ids[1], 1, %(at)s::timestamptz + interval '1 day', range_agg(denied.hole)
FROM series AS s
CROSS JOIN LATERAL (
    SELECT hole FROM unnest(int8multirange(int8range(%(end_ms)s - s.history_ms, %(end_ms)s)) - s.held) AS hole
    ORDER BY md5(hole::text) LIMIT %(denied)s
) AS denied
GROUP BY s.id
"""
MAKE_CANDLES = """
INSERT INTO candles (series_id, open_time, open, high, low, close, volume, quote_volume, source_id)
SELECT s.id, open_time, 100, 101, 99, 100, 1, 100, s.source_ids[1]
FROM series AS s, generate_series(%(start)s::timestamptz, %(last)s, interval '1 minute') AS open_time
"""
PUNCH = "DELETE FROM candles WHERE series_id = %s AND open_time >= %s AND open_time < %s"
# What the older systems asked. It sees no gap before the first bar and none after the last.
SCAN = """
SELECT i.symbol, s.timeframe, open_time + interval '1 minute' AS gap_start, next_time AS gap_end,
       (extract(epoch FROM next_time - open_time) / 60)::bigint - 1 AS missing_candles
FROM (
    SELECT series_id, open_time, lead(open_time) OVER (PARTITION BY series_id ORDER BY open_time) AS next_time
    FROM candles WHERE open_time >= %(start)s AND open_time < %(end)s
) AS c
JOIN series AS s ON s.id = c.series_id
JOIN instruments AS i ON i.id = s.instrument_id
WHERE next_time > open_time + interval '1 minute'
ORDER BY i.symbol, gap_start DESC
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, choices=range(1, 101), metavar="1..100")
    rounds = parser.parse_args().rounds
    with throw_away_database() as uri, connect(uri) as connection:
        store = CandleStore(connection)
        _small(store, rounds)
        connection.execute("TRUNCATE candles, series, instruments CASCADE")
        _large(store, rounds)


def _small(store: CandleStore, rounds: int) -> None:
    connection = store.connection
    _make_candles(connection)
    which, ledger, scan = selection(AT, 0), "from the ledger", "by lead() over the candles"
    watch = Stopwatch()
    for _ in range(rounds + 1):
        watch.start_round()
        with watch.timing(ledger):
            gaps = store.rows("ledger/select_gaps", which)
        with watch.timing(scan), connection.cursor(row_factory=dict_row) as cursor:
            scanned = cursor.execute(SCAN, {"start": AT - WEEK, "end": AT}).fetchall()
        assert gaps == scanned, "the ledger and the candles tell different gaps"
    del watch.rounds[0]  # it has warmed up
    candles = fetch_one(connection, "SELECT count(*) FROM candles")[0]
    print(f"{SMALL_SERIES} series x 7 days, {candles:,} candles, {len(gaps):,} gaps; median of {rounds} (range)")
    for what in (ledger, scan):
        print(f"  {what:28}{spread([1000 * s for s in watch.seconds(what)], '.1f')} ms")
    print(f"  the ledger is {spread(watch.ratios(ledger, scan), '.0f')} times as fast")


def _large(store: CandleStore, rounds: int) -> None:
    _make_ledgers(store.connection)
    week, all_of_it, states = "the last week", "all five years", "the state of each"
    watch = Stopwatch()
    found: dict[str, list[SeriesGaps]] = {}
    for _ in range(rounds + 1):
        watch.start_round()
        for what, which in ((week, selection(AT, 0, start=AT - WEEK)), (all_of_it, selection(AT, 0))):
            with watch.timing(what):
                found[what] = find_gaps(store, which)
        with watch.timing(states):
            status = store.rows("series/select_sync_status", selection(AT, 0))
    del watch.rounds[0]
    print(f"{LARGE_SERIES:,} series x 5 years, {HOLES} holes each, {DENIED} of them denied; median of {rounds} (range)")
    for what, gaps in found.items():
        missing = sum(gap.missing_candles for gap in gaps)
        print(f"  {what:28}{spread(watch.seconds(what), '.2f')} s: {len(gaps):,} series lack {missing:,} candles")
    ready = sum(row["ready"] for row in status)
    print(f"  {states:28}{spread(watch.seconds(states), '.2f')} s: {ready:,} of {len(status):,} series are ready")


def _make_candles(connection: Connection) -> None:
    """A week of candles with holes, none at its edges, as a stranger would write and delete them."""
    connection.execute(MAKE_SERIES, {"series": SMALL_SERIES, "history_ms": WEEK // timedelta(milliseconds=1)})
    connection.execute("SELECT ensure_candle_partitions(%s, %s)", (AT - WEEK, AT))
    connection.execute(MAKE_CANDLES, {"start": AT - WEEK, "last": AT - timedelta(minutes=1)})
    rng = random.Random(1)
    for (series_id,) in connection.execute("SELECT id FROM series").fetchall():
        for _ in range(HOLES):
            first = AT - WEEK + timedelta(minutes=rng.randrange(1, 10_000))
            connection.execute(PUNCH, (series_id, first, first + timedelta(minutes=rng.randrange(1, 60))))
    connection.execute("VACUUM ANALYZE")


def _make_ledgers(connection: Connection) -> None:
    history_ms = FIVE_YEARS // timedelta(milliseconds=1)
    end_ms = round(1000 * AT.timestamp())
    connection.execute("SELECT setseed(0.5)")
    connection.execute(MAKE_SERIES, {"series": LARGE_SERIES, "history_ms": history_ms})
    connection.execute(MAKE_HELD, {"end_ms": end_ms, "holes": HOLES})
    connection.execute(DENY, {"at": AT, "end_ms": end_ms, "denied": DENIED})
    connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
